"""The sections of `data=tfds` and `data=tfds_masks`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from src.config.data import LabelledPictures, MaskData, Share
from src.config.section import Byte, Section, Text

# TensorFlow Datasets' grammar of names, without its keyword arguments and namespaces.
BUILDER = re.compile(
    r"(?P<name>[a-z]\w*(/[\w+\-.]+)?)(:(?P<version>(\d+|\*)(\.(\d+|\*)){2}))?", re.ASCII
)


def _builder(value: object) -> object:
    if not isinstance(value, str) or not BUILDER.fullmatch(value):
        raise ValueError(
            "expected data.builder= as name, name/config or name:version, such as cifar10, "
            f"emnist/letters or kmnist:3.0.1; received data.builder="
            f"{'null' if value is None else value}"
        )
    return value


class _Builder(Section):
    """Which data set of TensorFlow Datasets, and which parts of it.

    Attributes:
        builder: its name, with config and version if wanted: `emnist/letters`, `kmnist:3.0.1`.
        dir: prepared TensorFlow Datasets folder; the environment's `TFDS_DATA_DIR` if null.
        image: name of the feature that is the picture.
        train_split: name of the split to train on.
        val_split: that of the validation set; null for `validation`, `valid`, `val` or `dev`, or,
            where there is none of these, the last part of the training examples.
        test_split: that of the test set; null for `test`, or a part of the training examples.
        val: share of the training examples that is the validation set, where it is cut from them.
        test: likewise the test set.
    """

    builder: Annotated[Text | None, BeforeValidator(_builder)] = Field(None, validate_default=True)
    dir: Text | None = None
    image: Text = "image"
    train_split: Text = "train"
    val_split: Text | None = None
    test_split: Text | None = None
    val: Share = 0.1
    test: Share = 0.1


class Tfds(_Builder, LabelledPictures):
    """A data set of TensorFlow Datasets whose examples have an image and a label.

    Attributes:
        label: name of the feature that is the label.
        height: of all pictures in pixels; null for their own, where all have one size.
        width: likewise.
        channels: 3 for colour, 1 for grey; null for their own.
    """

    name: Literal["tfds"]
    label: Text = "label"


class TfdsMasks(_Builder, MaskData):
    """A data set of TensorFlow Datasets whose examples have an image and a mask.

    Attributes:
        mask: name of the feature that is the mask.
        first: number that stands for the first class in the masks.
    """

    name: Literal["tfds_masks"]
    mask: Text = "segmentation_mask"
    first: Byte = 0
