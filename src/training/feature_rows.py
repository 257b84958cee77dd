"""Rows of numbers in a file, each found by the digest of what it was computed from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from src import files

DIGEST = hashlib.sha256().digest_size


class Rows:
    """A file of rows, to which rows are added and of which none is changed.

    A row has the digest of what it is of, its numbers, and the SHA-256 of both. What was cut short
    or damaged is no row: it is computed and added again.

    Args:
        path: the file; it is made with the first row.
        width: numbers in a row.
    """

    def __init__(self, path: Path, width: int) -> None:
        self.path, self.width = path, width
        self._row = np.dtype(
            [("of", f"V{DIGEST}"), ("values", "<f4", (width,)), ("check", f"V{DIGEST}")]
        )

    def find(self, digests: Sequence[bytes], values: np.ndarray) -> list[int]:
        """Reads the rows of digests.

        Args:
            digests: of what is looked for.
            values: float32 `[digests, width]`, which the rows that there are are written into.

        Returns:
            Places in `digests` of those that the file has no whole row of.

        Raises:
            OSError: it cannot be read, or is no regular file.
        """
        rows = self._read()
        places = {each: place for place, each in enumerate(parted(rows["of"].tobytes()))}
        missing = []
        for number, digest in enumerate(digests):
            place = places.get(digest)
            if place is None or not _whole(rows[place]):
                missing.append(number)
            else:
                values[number] = rows[place]["values"]
        return missing

    def known(self) -> set[bytes]:
        """Digests of what the file has a whole row of.

        Raises:
            OSError: it cannot be read, or is no regular file.
        """
        return {row["of"].tobytes() for row in self._read() if _whole(row)}

    def add(self, digests: Iterable[bytes], values: np.ndarray) -> None:
        """Writes rows at the end, in the place of one that was cut short there.

        Args:
            digests: what each is of.
            values: float32 `[rows, width]`.

        Raises:
            OSError: they cannot be written.
        """
        rows = np.zeros(len(values), self._row)
        for row, digest, numbers in zip(rows, digests, values, strict=True):
            row["of"], row["values"] = np.void(digest), numbers
            row["check"] = np.void(_check(row))
        with files.open_to_append(self.path) as file:
            size = os.fstat(file.fileno()).st_size
            file.truncate(size // self._row.itemsize * self._row.itemsize)
            file.write(rows.tobytes())

    def _read(self) -> np.ndarray:
        try:
            with files.open_to_read(self.path) as file:
                count = os.fstat(file.fileno()).st_size // self._row.itemsize
                if count:
                    return np.memmap(file, self._row, "r", shape=(count,))
        except FileNotFoundError:
            pass
        return np.empty(0, self._row)


def _whole(row: np.void) -> bool:
    return _check(row) == row["check"].tobytes()


def _check(row: np.void) -> bytes:
    return hashlib.sha256(row.tobytes()[:-DIGEST]).digest()


def parted(digests: bytes) -> list[bytes]:
    """Digests that stand one behind the other, each by itself."""
    return [digests[begin : begin + DIGEST] for begin in range(0, len(digests), DIGEST)]
