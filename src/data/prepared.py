"""Reads a data set that TensorFlow Datasets (TFDS) has prepared in a folder.

TFDS says which files hold a split and how many examples there are. Its own pipeline decodes them
one by one; the same files parsed in batches, in the same order, are read three times as fast,
and a program that starts often waits for this each time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from src import quiet
from src.data.dataset import DataError, Split

_SHAPES = {"image": (28, 28, 1), "label": ()}
_CLASSES = 10
_BATCH = 500
# Where in its graph TensorFlow met an error is nothing that the user can put right.
_NODES = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*|Error in user-def.* Iterator::\S+: ")
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


def read(folder: Path) -> dict[str, Split]:
    """Reads a prepared data set of 28x28 grey images in 10 classes.

    Args:
        folder: `<root>/<name>/<version>`, as `find` returns it.

    Returns:
        `train` and `test`, TFDS' official splits in its own order: images `[n, 28, 28, 1]`,
        int32 labels `[n]`.

    Raises:
        DataError: the folder's description or its records are damaged, or are of other data.
    """
    tf = quiet.tensorflow()
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
    splits = {}
    for split, info in infos.items():
        try:
            splits[split] = _records(folder, split, info)
        except tf.errors.OpError as error:
            raise DataError(
                f"{folder}: expected readable records in split {split}; "
                f"received {_one_line(_NODES.sub('', error.message))}"
            ) from error
    return splits


def _records(folder: Path, split: str, info: Any) -> Split:
    """Decodes the records of one split; `info` is TFDS' description of it."""
    tf = quiet.tensorflow()

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def decode(records: Any) -> tuple[Any, Any]:
        examples = tf.io.parse_example(records, features)
        images = tf.map_fn(
            lambda png: tf.ensure_shape(tf.io.decode_png(png, channels=1), _SHAPES["image"]),
            examples["image"],
            fn_output_signature=tf.uint8,
        )
        return images, examples["label"]

    options = tf.data.Options()
    # The autotuner can hold up the end of a pipeline for seconds.
    options.autotune.enabled = False
    batches = (
        tf.data.TFRecordDataset([str(path) for path in info.filepaths], buffer_size=1 << 20)
        .batch(_BATCH)
        .map(decode, num_parallel_calls=2, deterministic=True)
        .with_options(options)
    )
    # Gathered first: memory follows the files, not the number that their description claims.
    parts = list(batches.as_numpy_iterator())
    count = sum(len(labels) for _, labels in parts)
    if count == 0 or count != info.num_examples:
        raise DataError(
            f"{folder}: expected {info.num_examples:,} examples in split {split}, at least one; "
            f"received {count:,}"
        )
    images = np.concatenate([some for some, _ in parts])
    labels = np.concatenate([some for _, some in parts])
    if labels.min() < 0 or labels.max() >= _CLASSES:
        raise DataError(
            f"{folder}: expected labels 0 to {_CLASSES - 1} in split {split}; "
            f"received {labels.min()} to {labels.max()}"
        )
    return Split(images, labels.astype(np.int32))


def _one_line(error: object, limit: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
