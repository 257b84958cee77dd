"""Weights written before the networks had Keras' own layers, read as if they were written now.

Keras names the groups of a weights file by the class of each layer and counts within a class. Then
some convolutions were of the project's own classes, which came after Keras' in each network. The
weights, their order and the optimizer's numbers are the same, so that renaming the groups in a
copy loses nothing; the checkpoint itself stays as it was written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

# Keras' group, and those of the classes that stand in its place now, in the networks' order.
_FORMER = {
    "conv2d": ("strided_conv2d", "whole_conv2d"),
    "conv2d_transpose": ("strided_conv2d_transpose", "polyphase_conv2d_transpose"),
}


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Within the block, a file with the weights of `path` that the networks of today load.

    Args:
        path: a `.weights.h5`, whose arrays have been checked.

    Raises:
        OSError: it is no HDF5 file.
    """
    with h5py.File(path, "r") as file:
        names = set(file.get("layers", ()))
    moves = _moves(names)
    if not moves:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            for old, new in moves:
                file["layers"].move(old, new)
        yield copy


def _moves(names: set[str]) -> list[tuple[str, str]]:
    """What has to be renamed, and to what."""
    moves = []
    for now, former in _FORMER.items():
        number = len(_counted(now, names))
        for kind in former:
            for name in _counted(kind, names):
                moves.append((name, f"{now}_{number}" if number else now))
                number += 1
    return moves


def _counted(kind: str, names: set[str]) -> list[str]:
    """The groups of a class in their order: `kind`, `kind_1`, `kind_2`, ..."""
    found, name = [], kind
    while name in names:
        found.append(name)
        name = f"{kind}_{len(found)}"
    return found
