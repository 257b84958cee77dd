"""What a data set is to the rest of the program: arrays, their names and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from src.errors import UserError

DIGITS = tuple("0123456789")


class DataError(UserError):
    """A data set that cannot be had or read."""


@dataclass(frozen=True)
class Split:
    """Examples in a fixed order.

    Attributes:
        images: uint8 `[examples, height, width, channels]`, 0 to 255.
        targets: int32 labels `[examples]`, or uint8 masks `[examples, height, width]`.
    """

    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, examples: slice | np.ndarray) -> Split:
        return Split(self.images[examples], self.targets[examples])


@dataclass(frozen=True)
class DataSet:
    """A data set as it was found on this machine.

    Attributes:
        name: the name it was asked for by.
        source: which of the possible sources served, for the run's record.
        digest: SHA-256 of every split's order, shapes, types, images and targets.
        classes: names of the classes, in the order of the labels.
        kind: whether the targets are labels or masks.
        splits: `train`, `val` and `test`.
        notice: one line to announce when a stand-in serves instead of the real data, else None.
    """

    name: str
    source: str
    digest: str
    classes: tuple[str, ...]
    kind: Literal["labels", "masks"]
    splits: Mapping[str, Split]
    notice: str | None = None


def digest_of(splits: Mapping[str, Split]) -> str:
    """SHA-256 over the splits in their order, equal on every platform."""
    total = hashlib.sha256()
    for name, split in splits.items():
        for part, array in (("images", split.images), ("targets", split.targets)):
            # An explicit byte order, so that the digest does not depend on the processor's.
            array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            total.update(f"{name}.{part} {array.dtype.str} {array.shape}\n".encode())
            total.update(array.data)
    return total.hexdigest()
