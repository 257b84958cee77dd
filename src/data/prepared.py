"""Reads digits and the like that TensorFlow Datasets (TFDS) has prepared in a folder.

TFDS' own pipeline decodes examples one by one. Parsed in batches, the same files are read three
times as fast, in the same order; a program that is started often waits for this each time.
"""

from __future__ import annotations

import fnmatch
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from src import files, quiet
from src.data.dataset import DataError, Lazily
from src.data.examples import Examples
from src.data.reading import regular_file
from src.data.streamed import Decode, open_records
from src.data.tfds_info import describe

if TYPE_CHECKING:
    import tensorflow as tf

_IMAGE = (28, 28, 1)
_FEATURES = {"image": ("Image", _IMAGE), "label": ("ClassLabel", ())}
_SPLITS = ("train", "test")
_CLASSES = 10
_EXAMPLE_BYTES = 28 * 28 + 4
# Where TFDS says which config a data set has if none is named.
_DEFAULT_CONFIG = ".config/metadata.json"
_DEFAULT_NAME = re.compile(rb'"default_config_name":\s*"(\w[\w+\-.]*)"')
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)


def find(root: Path, name: str, wanted: str | None = None) -> Path | None:
    """Finds `<root>/<name>/<version>`, the newest version that was prepared to its end.

    Looks at little more than the names of files, so that absence is noticed without importing TFDS.

    Args:
        root: TFDS data folder.
        name: of the data set, with `/<config>` if there is one; without, TFDS' default config.
        wanted: the version, in which `*` stands for any number; None for any.
    """
    if not os.path.isdir(root / name):  # Unlike Path.glob, never raises.
        return None
    default = root / name / _DEFAULT_CONFIG
    if default.is_file():
        said = _DEFAULT_NAME.search(regular_file(default, 1 << 16))
        return find(root, f"{name}/{said[1].decode()}", wanted) if said else None
    versions = [
        (tuple(map(int, match.groups())), info.parent)
        for info in (root / name).glob("*/dataset_info.json")
        if (match := _VERSION.fullmatch(info.parent.name))
        and (wanted is None or fnmatch.fnmatch(info.parent.name, wanted))
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
    found = describe(folder)
    if found.features != _FEATURES or not set(_SPLITS) <= found.splits.keys():
        raise DataError(
            f"{folder}: expected splits train and test of features {_FEATURES}; received "
            f"{files.clipped(f'splits {list(found.splits)} of features {found.features}')}"
        )
    examples = sum(found.splits[name].count for name in _SPLITS)
    held = examples * _EXAMPLE_BYTES <= memory_budget * 2**20

    def split(name: str) -> Examples:
        paths, count = found.splits[name].paths, found.splits[name].count
        records = open_records(paths, count, decoder(_IMAGE), _IMAGE, _CLASSES, (folder, name))
        return records.arrays() if held else records

    return Lazily(_SPLITS, split)


def png_header(image_shape: tuple[int, int, int]) -> bytes:
    """The first bytes of a PNG file of this size, of 8 bits a channel.

    Its signature, and the chunk that says its size, depth and colours (PNG specification, 5.2 and
    11.2.2).
    """
    height, width, channels = image_shape
    colours = {1: 0, 3: 2}[channels]
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", width, height, 8, colours)


def decoder(
    image_shape: tuple[int, int, int],
    classes: int = _CLASSES,
    names: tuple[str, str] = ("image", "label"),
) -> Decode:
    """Returns what makes PNG images of this shape, and labels, of records inside a graph.

    Args:
        image_shape: height, width and channels of every image.
        classes: labels are 0 to one less than this; another becomes -1 or this.
        names: of the features that are the image and the label.
    """
    quiet.tensorflow()
    import tensorflow as tf

    image, label = names
    features = {
        image: tf.io.FixedLenFeature([], tf.string),
        label: tf.io.FixedLenFeature([], tf.int64),
    }
    height, width, channels = image_shape
    begin = png_header(image_shape)

    def decode(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        examples = tf.io.parse_example(records, features)
        # Before anything is decoded: a few bytes may say that they are gigabytes of pixels.
        sized = tf.strings.substr(examples[image], 0, len(begin))
        wanted = f"PNG images of {height}x{width} pixels are expected"
        with tf.control_dependencies(
            [tf.debugging.Assert(tf.reduce_all(sized == begin), [wanted])]
        ):
            encoded = tf.identity(examples[image])
        images = tf.map_fn(
            lambda png: tf.ensure_shape(tf.io.decode_png(png, channels=channels), image_shape),
            encoded,
            fn_output_signature=tf.uint8,
        )
        # The conversion to int32 must not turn one label into another.
        labels = tf.clip_by_value(examples[label], -1, classes)
        return images, tf.cast(labels, tf.int32)

    return decode
