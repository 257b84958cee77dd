"""Examples that stay in their files: read by index whenever they are needed, and never all held.

They lie in TFRecord files, in which a record is its length and a checksum of that (12 bytes), the
data, and a checksum of the data (4 bytes). One pass over the files checks the checksums and finds
where each record begins: 8 bytes an example are all that is kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src import quiet
from src.data.dataset import AsTheyAre, DataError, Reader, Split, allocate
from src.data.options import untuned

if TYPE_CHECKING:
    import tensorflow as tf

# Takes records, strings `[batch]`; returns uint8 images and their targets.
Decode = Callable[["tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]

_BEFORE, _AFTER = 12, 4
_PART_PIXELS = 2**19
# Where in its graph TensorFlow met an error is nothing that the user can put right.
_NODES = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*|Error in user-def.* Iterator::\S+: ")


class Files:
    """TFRecord files, read at any place.

    Args:
        paths: the files, in their order.

    Raises:
        tensorflow.errors.OpError: one is missing, truncated or damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        lengths = [_lengths(path) for path in paths]
        self._file = np.repeat(np.arange(len(paths)), [len(some) for some in lengths])
        self._length = np.concatenate(lengths)
        ends = [np.cumsum(some + (_BEFORE + _AFTER)) for some in lengths]
        self._begin = np.concatenate(ends) - self._length - _AFTER
        self._open = [os.open(path, os.O_RDONLY) for path in paths]

    def __len__(self) -> int:
        return len(self._length)

    def __del__(self) -> None:
        for descriptor in getattr(self, "_open", ()):
            os.close(descriptor)

    def records(self, numbers: np.ndarray) -> np.ndarray:
        """The records of these numbers, bytes `[batch]`."""
        places = zip(
            self._file[numbers].tolist(),
            self._length[numbers].tolist(),
            self._begin[numbers].tolist(),
            strict=True,
        )
        return np.array(
            [os.pread(self._open[file], length, begin) for file, length, begin in places], object
        )


@dataclass(frozen=True)
class Streamed(AsTheyAre):
    """Examples in TFRecord files, in a fixed order; implements `Examples`.

    Attributes:
        files: where they are.
        numbers: which of the records, int64 `[examples]`.
        decode: makes examples of records, inside a TensorFlow graph.
        image_shape: height, width and channels of every image.
        classes: labels are 0 to one less than this.
        origin: the folder and the name of the split, for messages.
    """

    files: Files
    numbers: np.ndarray
    decode: Decode
    image_shape: tuple[int, int, int]
    classes: int
    origin: tuple[Path, str]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, examples: slice | np.ndarray) -> Streamed:
        return replace(self, numbers=self.numbers[examples])

    def reader(self) -> Reader:
        """Returns what reads the examples of given indices inside a TensorFlow graph."""
        import tensorflow as tf

        numbers, files, shape = self.numbers, self.files, self.image_shape

        def read(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            records = tf.numpy_function(lambda i: files.records(numbers[i]), [indices], tf.string)
            images, targets = self.decode(tf.ensure_shape(records, indices.shape))
            return tf.ensure_shape(images, (*indices.shape, *shape)), targets

        return read

    def parts(self) -> Iterator[Split]:
        """The examples in their order, some at a time, each of them checked.

        Raises:
            DataError: a record is none of an example, or a label is out of range.
        """
        tf = quiet.tensorflow()
        folder, split = self.origin
        size = max(1, _PART_PIXELS // int(np.prod(self.image_shape)))
        read = self.reader()
        parts = (
            tf.data.Dataset.range(0, len(self), size)
            .map(
                lambda begin: read(tf.range(begin, tf.minimum(begin + size, len(self)))),
                num_parallel_calls=2,
                deterministic=True,
            )
            .with_options(untuned())
        )
        try:
            for images, targets in parts.as_numpy_iterator():
                if targets.min() < 0 or targets.max() >= self.classes:
                    raise DataError(
                        f"{folder}: expected labels 0 to {self.classes - 1} in split {split}; "
                        f"received {targets.min()} to {targets.max()}"
                    )
                yield Split(images, targets)
        except tf.errors.OpError as error:
            raise _unreadable(self.origin, error) from error

    def class_counts(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Split.class_counts`, part by part."""
        counts = np.array([part.class_counts(classes) for part in self.parts()])
        pixels, where = counts.sum(axis=0)
        return pixels, where

    def arrays(self) -> Split:
        """The examples in memory."""
        held: list[np.ndarray] = []
        end = 0
        for part in self.parts():
            arrays = (part.images, part.targets)
            held = held or [allocate((len(self), *a.shape[1:]), a.dtype) for a in arrays]
            begin, end = end, end + len(part)
            for whole, some in zip(held, arrays, strict=True):
                whole[begin:end] = some
        return Split(*held)


def open_records(
    paths: Sequence[Path],
    count: int,
    decode: Decode,
    image_shape: tuple[int, int, int],
    classes: int,
    origin: tuple[Path, str],
) -> Streamed:
    """Opens files of records, of which there have to be `count`; otherwise as for `Streamed`.

    Raises:
        DataError: a file is missing or damaged, or the number of records is another.
    """
    tf = quiet.tensorflow()
    try:
        files = Files(paths)
    except tf.errors.OpError as error:
        raise _unreadable(origin, error) from error
    if count == 0 or len(files) != count:
        folder, split = origin
        raise DataError(
            f"{folder}: expected {count:,} examples in split {split}, at least one; "
            f"received {len(files):,}"
        )
    return Streamed(files, np.arange(count), decode, image_shape, classes, origin)


def _unreadable(origin: tuple[Path, str], error: tf.errors.OpError) -> DataError:
    folder, split = origin
    text = " ".join(_NODES.sub("", error.message).split())
    return DataError(f"{folder}: expected readable records in split {split}; received {text[:200]}")


def _lengths(path: Path) -> np.ndarray:
    """Bytes of data of each record, int64 `[records]`; checks every checksum."""
    import tensorflow as tf

    batches = (
        tf.data.TFRecordDataset(str(path), buffer_size=1 << 20)
        .batch(1000)
        .map(tf.strings.length)
        .with_options(untuned())
    )
    return np.concatenate([np.zeros(0, np.int64), *batches.as_numpy_iterator()], dtype=np.int64)
