"""A backbone's features of pictures, computed once and kept in `outputs/features/`.

A file is found by what its numbers follow from: the pixels of the pictures in their order, the
weights, the layers and their sizes. Renamed or moved pictures have the same file, a changed one
has another.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from src import files, runs
from src.data.dataset import Around, Examples, Reader

FOLDER = runs.OUTPUTS / "features"
_BATCH = 16
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Featured(Around):
    """Pictures that are read as features.

    Attributes:
        values: float32 `[examples, features]`.
        targets: their labels.
    """

    values: NDArray[np.float32]
    targets: np.ndarray

    def __getitem__(self, examples: slice | np.ndarray) -> Featured:
        return Featured(self.examples[examples], self.values[examples], self.targets[examples])

    def reader(self) -> Reader:
        """Returns what gathers features of given indices inside a TensorFlow graph."""
        values, targets = tf.constant(np.asarray(self.values)), tf.constant(self.targets)
        return lambda indices: (tf.gather(values, indices), tf.gather(targets, indices))


def featured(network: keras.Model, layer: str, examples: Examples, what: str) -> Featured:
    """The features of examples: read where they are kept, or computed and kept.

    What an interrupted process has computed is gone on with.

    Args:
        network: of pictures in [0, 1].
        layer: whose output `[batch, features]` the features are.
        examples: pictures of one size with labels.
        what: name of the split, for the progress bar.

    Raises:
        OSError: they cannot be kept.
    """
    inner = keras.Model(network.inputs, network.get_layer(layer).output)
    total, targets = _key(inner), []
    for part in examples.parts():
        total.update(repr(part.images.shape[1:]).encode())
        for picture in part.images:
            total.update(hashlib.sha256(picture.tobytes()).digest())
        targets.append(part.targets)
    path = FOLDER / f"{total.hexdigest()}.features"
    shape = (len(examples), inner.output_shape[-1])
    if not _whole(path, shape):
        FOLDER.mkdir(parents=True, exist_ok=True)
        # Two runs that begin at once would write into one file.
        with runs.exclusive(FOLDER / ".lock"):
            if not _whole(path, shape):
                _write(path, shape, _function(inner), examples, what)
    values = np.memmap(path, np.float32, "r", shape=shape)
    return Featured(examples, values, np.concatenate(targets))


def _key(inner: keras.Model) -> Any:
    """What the numbers follow from, but for the pictures."""
    total = hashlib.sha256(f"{keras.config.dtype_policy().name} {inner.input_shape}".encode())
    for layer in inner.layers:
        # The scaling is in the layers, as is the size that pictures are resized to.
        total.update(f"{type(layer).__name__} {layer.output.shape[1:]}".encode())
        total.update(f"{getattr(layer, 'scale', '')} {getattr(layer, 'offset', '')}".encode())
        for weight in layer.get_weights():
            total.update(weight.tobytes())
    return total


def _whole(path: Path, shape: tuple[int, int]) -> bool:
    """Whether a file has the features and their digest; one that is damaged is removed."""
    size = 4 * shape[0] * shape[1]
    try:
        with files.open_to_read(path) as file:
            total, left = hashlib.sha256(), size
            while left > 0 and (block := file.read(min(left, 1 << 24))):
                total.update(block)
                left -= len(block)
            if left == 0 and file.read(_DIGEST + 1) == total.digest():
                return True
    except FileNotFoundError:
        return False
    path.unlink()
    return False


def _write(
    path: Path, shape: tuple[int, int], compute: Callable[..., Any], examples: Examples, what: str
) -> None:
    """Computes what is missing, and gives the file its name once all of it is there."""
    aside, row = path.with_suffix(".part"), 4 * shape[1]
    with files.open_to_append(aside) as file:
        # Whole batches: of others, a convolution may round in another way.
        done = os.fstat(file.fileno()).st_size // (row * _BATCH) * _BATCH
        done = min(done, shape[0] // _BATCH * _BATCH)
        file.truncate(done * row)
        bar = tqdm(
            total=shape[0],
            initial=done,
            desc=f"features of {what}",
            unit=" pictures",
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        for begin in range(done, shape[0], _BATCH):
            images = examples[begin : begin + _BATCH].arrays().images
            values = compute(tf.constant(images / np.float32(255))).numpy()
            file.write(values.astype(np.float32).tobytes())
            file.flush()
            bar.update(len(images))
        bar.close()
    total = hashlib.sha256()
    with files.open_to_read(aside) as read:
        while block := read.read(1 << 24):
            total.update(block)
    with files.open_to_append(aside) as file:
        file.write(total.digest())
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _function(inner: keras.Model) -> Callable[..., Any]:
    signature = tf.TensorSpec((None, *inner.input_shape[1:]), tf.float32)
    return tf.function(
        lambda x: inner(x, training=False), input_signature=[signature], autograph=False
    )
