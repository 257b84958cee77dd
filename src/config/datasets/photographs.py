"""The section of `data=photographs`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from src.config.data import NoisyData
from src.config.section import Positive, Shape

# The validation and test regions are strips, the narrowest of which has 76 columns.
CropSide = Annotated[int, Field(ge=8, le=76)]


class Photographs(NoisyData):
    """Crops of three photographs that come with scikit-learn and matplotlib, in colour.

    The photograph is the class of a crop. Training, validation and test crops come from regions
    that do not overlap.

    Attributes:
        height: of a crop in pixels.
        width: likewise.
        train_crops: how many there are for training.
        val_crops: likewise for validation.
        test_crops: likewise for the test.
        crop_seed: seed of their places.
    """

    classes: ClassVar[int] = 3
    name: Literal["photographs"]
    height: CropSide = 32
    width: CropSide = 32
    train_crops: Positive = 6000
    val_crops: Positive = 600
    test_crops: Positive = 600
    crop_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every crop."""
        return (self.height, self.width, 3)
