"""The sections of `data=mnist` and `data=fashion_mnist`."""

from __future__ import annotations

from typing import ClassVar, Literal

from src.config.data import NoisyData
from src.config.section import Positive, Shape, Text


class TfdsData(NoisyData):
    """MNIST and its drop-in replacements, from the first source that has them.

    Attributes:
        dir: prepared TensorFlow Datasets folder; the environment's `TFDS_DATA_DIR` if null.
        idx_dir: folder with the four IDX files, gzipped or not.
        fallback: whether the 5,000 bundled digits may stand in where nothing else can be had.
        val_examples: how many of the last training examples are the validation set.
        memory_budget: mebibytes of decoded images and labels that a prepared folder may take in
            memory; if they are more, they are read and decoded whenever they are needed.
    """

    classes: ClassVar[int] = 10
    name: Literal["mnist", "fashion_mnist"]
    dir: Text | None = None
    idx_dir: Text | None = None
    fallback: bool = True
    val_examples: Positive = 5000
    memory_budget: Positive = 2048

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (28, 28, 1)
