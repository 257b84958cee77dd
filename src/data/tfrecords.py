"""TFRecord files, read at any place.

A record is its length and a checksum of that (12 bytes), the data, and a checksum of the data (4
bytes). One pass over the files finds where each record begins, compares the lengths with the size
of the file, and checks the checksums: 16 bytes a record are all that is kept.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src import quiet
from src.data.dataset import DataError
from src.data.options import untuned
from src.data.reading import open_regular

_LENGTH, _BEFORE, _AFTER = struct.Struct("<Q"), 12, 4
# Where in its graph TensorFlow met an error is nothing that the user can put right.
_NODES = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*|Error in user-def.* Iterator::\S+: ")


class Files:
    """TFRecord files whose records are numbered through.

    Args:
        paths: the files, in their order.

    Attributes:
        paths: the same.
        file: which of the files holds each record, int64 `[records]`.
        begin: first byte of its data in that file, int64 `[records]`.
        length: bytes of its data, int64 `[records]`.

    Raises:
        DataError: one is missing, truncated or damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._open: list[int] = []
        places = []
        for path in paths:
            self._open.append(open_regular(path))
            places.append(_places(path, self._open[-1]))
        self.file = np.repeat(np.arange(len(places)), [len(some) for some in places])
        both = np.concatenate([np.zeros((0, 2), np.int64), *places])
        self.begin, self.length = both.T

    def __len__(self) -> int:
        return len(self.length)

    def __del__(self) -> None:
        for descriptor in getattr(self, "_open", ()):
            os.close(descriptor)

    def record(self, number: int) -> bytes:
        """The record of this number."""
        descriptor = self._open[self.file[number]]
        return os.pread(descriptor, int(self.length[number]), int(self.begin[number]))

    def records(self, numbers: np.ndarray) -> np.ndarray:
        """The records of these numbers, bytes `[batch]`."""
        return np.array([self.record(number) for number in numbers], object)


def reason(error: Exception) -> str:
    """What TensorFlow says about a damaged record, on one line."""
    return " ".join(_NODES.sub("", getattr(error, "message", str(error))).split())[:200]


def _places(path: Path, descriptor: int) -> np.ndarray:
    """First byte and length of each record, int64 `[records, 2]`; checks every checksum."""
    size = os.fstat(descriptor).st_size
    found, start = [], 0
    if size:
        with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
            while start + _BEFORE + _AFTER <= size:
                (length,) = _LENGTH.unpack_from(data, start)
                begin = start + _BEFORE
                start = begin + length + _AFTER
                found.append((begin, length))
    # TensorFlow allocates the length that a record states before it reads on.
    if start != size:
        raise DataError(
            f"{path}: expected whole records; received a file that ends inside of one (a truncated "
            "record)"
        )
    places = np.array(found, np.int64).reshape(-1, 2)
    _check(path, places[:, 1])
    return places


def _check(path: Path, lengths: np.ndarray) -> None:
    tf = quiet.tensorflow()
    batches = (
        tf.data.TFRecordDataset(os.fsencode(path), buffer_size=1 << 20)
        .batch(1000)
        .map(tf.strings.length)
        .with_options(untuned())
    )
    try:
        read = sum(len(batch) for batch in batches.as_numpy_iterator())
    except tf.errors.OpError as error:
        raise DataError(f"{path}: expected readable records; received {reason(error)}") from error
    if read != len(lengths):
        raise DataError(f"{path}: expected {len(lengths):,} readable records; received {read:,}")
