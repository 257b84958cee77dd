"""The section of `data=oxford_iiit_pet`."""

from __future__ import annotations

from typing import Literal

from src.config.data import PictureData
from src.config.section import Positive, Text


class OxfordPet(PictureData):
    """Oxford-IIIT Pet (Parkhi et al. 2012) as TensorFlow Datasets prepares it: cats and dogs.

    Attributes:
        dir: prepared TensorFlow Datasets folder; the environment's `TFDS_DATA_DIR` if null.
        border: the pixels between a pet and the background, which the annotators left open: a
            third `class`, as in TensorFlow's tutorial, or `void`.
        val_examples: how many of the last training examples are the validation set.
    """

    name: Literal["oxford_iiit_pet"]
    dir: Text | None = None
    border: Literal["class", "void"] = "class"
    val_examples: Positive = 500

    @property
    def classes(self) -> int:
        """Number of classes."""
        return 3 if self.border == "class" else 2
