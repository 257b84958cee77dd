"""Reads a data set that TensorFlow Datasets (TFDS) has prepared in a folder.

TFDS says which files hold a split and how many examples there are. Its own pipeline decodes them
one by one; the same files parsed in batches, in the same order, are read three times as fast,
and a program that starts often waits for this each time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from src import quiet
from src.data.dataset import DataError, Examples, Lazily
from src.data.streamed import Decode, open_records

if TYPE_CHECKING:
    import tensorflow as tf

_IMAGE = (28, 28, 1)
_SHAPES = {"image": _IMAGE, "label": ()}
_CLASSES = 10
_EXAMPLE_BYTES = 28 * 28 + 4
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def find(root: Path, name: str) -> Path | None:
    """Finds `<root>/<name>/<version>`, the newest version that was prepared to its end.

    Looks only at the names of files, so that absence is noticed without importing TFDS.
    """
    if not os.path.isdir(root / name):  # Unlike Path.glob, never raises.
        return None
    versions = [
        (tuple(map(int, match.groups())), info.parent)
        for info in (root / name).glob("*/dataset_info.json")
        if (match := _VERSION.fullmatch(info.parent.name))
    ]
    return max(versions)[1] if versions else None


def read(folder: Path, memory_budget: int) -> Mapping[str, Examples]:
    """Reads a prepared data set of 28x28 grey images in 10 classes.

    Args:
        folder: `<root>/<name>/<version>`, as `find` returns it.
        memory_budget: if the images and labels take more mebibytes than this, they stay in their
            files.

    Returns:
        `train` and `test`, TFDS' official splits in its own order, each read when it is first
        asked for: images `[n, 28, 28, 1]`, int32 labels `[n]`. A `DataError` is then raised if
        its records are damaged or are of other data.

    Raises:
        DataError: the folder's description is damaged, or is of other data.
    """
    quiet.tensorflow()
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        shapes = {key: tuple(feature.shape) for key, feature in builder.info.features.items()}
        infos = {split: builder.info.splits[split] for split in ("train", "test")}
        file_format = builder.info.file_format.value
    # What TFDS raises about a damaged description is not documented: whatever it is, the
    # description could not be read.
    except Exception as error:
        raise DataError(
            f"{folder}: expected a readable description of splits train and test and features "
            f"image and label; received {type(error).__name__}: {_one_line(error)}"
        ) from error
    if shapes != _SHAPES or file_format != "tfrecord":
        raise DataError(
            f"{folder}: expected tfrecord files of features {_SHAPES}; "
            f"received {file_format} files of features {shapes}"
        )
    examples = sum(info.num_examples for info in infos.values())
    held = examples * _EXAMPLE_BYTES <= memory_budget * 2**20

    def split(name: str) -> Examples:
        paths, count = infos[name].filepaths, infos[name].num_examples
        records = open_records(paths, count, decoder(_IMAGE), _IMAGE, _CLASSES, (folder, name))
        return records.arrays() if held else records

    return Lazily(infos, split)


def decoder(image_shape: tuple[int, int, int]) -> Decode:
    """Returns what makes PNG images of this shape, and labels, of records inside a graph."""
    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def decode(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        examples = tf.io.parse_example(records, features)
        images = tf.map_fn(
            lambda png: tf.ensure_shape(tf.io.decode_png(png, channels=1), image_shape),
            examples["image"],
            fn_output_signature=tf.uint8,
        )
        # No label may become another one as it is made an int32.
        labels = tf.clip_by_value(examples["label"], -1, _CLASSES)
        return images, tf.cast(labels, tf.int32)

    return decode


def _one_line(error: object, limit: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
