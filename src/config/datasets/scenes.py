"""The section of `data=scenes`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from src.config.data import Data
from src.config.section import Positive, Shape, Text


class Scenes(Data):
    """Seeded segmentation scenes composed from MNIST digits, 11 classes with the background.

    Attributes:
        height: height of the canvas in pixels.
        width: width of the canvas in pixels.
        max_digits: a scene holds 1 to this many digits, in boxes that do not overlap.
        noise: standard deviation of the background noise, in units of the pixel range [0, 1].
        train_scenes: number of training scenes; if null, one for every two digits that there are,
            12,000 at most.
        val_scenes: likewise for validation, 1,000 at most.
        test_scenes: likewise for the test, 1,000 at most.
        scene_seed: seed of the composition.
        dir: as for `mnist`, where the digits come from.
        idx_dir: as for `mnist`.
        fallback: as for `mnist`.
    """

    kind: ClassVar[Literal["labels", "masks"]] = "masks"
    classes: ClassVar[int] = 11
    name: Literal["scenes"]
    height: Annotated[int, Field(ge=28, le=4096)] = 64
    width: Annotated[int, Field(ge=28, le=4096)] = 84
    max_digits: Annotated[int, Field(ge=1, le=100)] = 3
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    train_scenes: Positive | None = None
    val_scenes: Positive | None = None
    test_scenes: Positive | None = None
    scene_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dir: Text | None = None
    idx_dir: Text | None = None
    fallback: bool = True

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (self.height, self.width, 1)

    @model_validator(mode="after")
    def _digits_fit(self) -> Scenes:
        cells = (self.height // 28) * (self.width // 28)
        if self.max_digits > cells:
            raise ValueError(
                f"expected data.max_digits of at most {cells} on a canvas of "
                f"{self.height}x{self.width} (28x28 pixels a digit); "
                f"received data.max_digits={self.max_digits}"
            )
        return self
