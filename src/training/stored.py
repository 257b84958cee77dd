"""What a file of arrays declares, compared with what a model has before any array is read.

A forged file can declare gigabytes in a few bytes, or point to other files. Both formats write
their arrays whole and in place: whatever does not lie in the file itself is refused.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import h5py
import keras
import numpy as np

from src.models import weight_files

Shape = tuple[int, ...]

# Adam keeps two numbers a weight, and no optimizer here more; a few counters beside them.
_SLOTS, _COUNTERS = 3, 16
# Names in a file of weights, folders and arrays, for each weight of a model.
_NAMES = 64


def check_weights(path: Path, model: keras.Model) -> None:
    """Compares the arrays that a `.weights.h5` declares with the weights of a model.

    Raises:
        ValueError: there are others, or they do not lie in the file.
        OSError: it is no HDF5 file.
    """
    own = Counter(tuple(weight.shape) for weight in model.weights)
    most = _NAMES * (sum(own.values()) + _COUNTERS)
    found, slots = Counter[Shape](), Counter[Shape]()
    size = path.stat().st_size
    with h5py.File(path, "r") as file:
        for name, array in _arrays(file, most):
            weight_files.check_held(array, size, "iufb")
            (slots if name.startswith("optimizer/") else found)[array.shape] += 1
    if found != own:
        ours, theirs = (weight_files.shapes(list(each)) for each in (own - found, found - own))
        raise ValueError(f"weights of {theirs} in the place of {ours}")
    strange = [shape for shape in slots if shape not in own and shape != ()]
    if strange or sum(slots.values()) > _SLOTS * sum(own.values()) + _COUNTERS:
        raise ValueError(f"an optimizer's numbers of {weight_files.shapes(list(slots))}")


def _arrays(file: h5py.File, most: int) -> Iterator[tuple[str, h5py.Dataset]]:
    """The arrays of a file, by their path; links lead elsewhere or round in a ring.

    Raises:
        ValueError: there is a link, or more than `most` folders and arrays.
    """
    waiting, seen = [("", file)], 0
    while waiting:
        path, group = waiting.pop()
        for name in group:
            seen += 1
            if seen > most:
                raise ValueError(f"more than {most} names")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path}{name}, which is a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((f"{path}{name}/", item))
            else:
                yield f"{path}{name}", item


def read_arrays(path: Path, expected: Mapping[str, Iterable[keras.Variable]]) -> dict[str, list]:
    """Reads an `.npz` that holds exactly the variables that are expected.

    Args:
        path: the file.
        expected: variables by group; the file's names are `<group> <number> <path>`.

    Returns:
        The arrays of each group in their order.

    Raises:
        ValueError: there are others, or they do not lie in the file, or one is of objects.
        OSError: it is no archive.
    """
    size = path.stat().st_size
    arrays: dict[str, list] = {}
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        for group, variables in expected.items():
            names = sorted(name for name in members if name.startswith(f"{group} "))
            shapes = [tuple(variable.shape) for variable in variables]
            if len(names) != len(shapes):
                raise ValueError(f"{len(names)} arrays of {group} in the place of {len(shapes)}")
            arrays[group] = []
            for name, shape in zip(names, shapes, strict=True):
                info = members[name]
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                    raise ValueError(f"{name}, which the file does not hold")
                with archive.open(info) as stream:
                    _expect(stream, name, shape)
                with archive.open(info) as stream:
                    arrays[group].append(np.lib.format.read_array(stream, allow_pickle=False))
    return arrays


def _expect(stream: IO[bytes], name: str, shape: Shape) -> None:
    """Reads the head of an array.

    Raises:
        ValueError: it is of another shape, or not of numbers.
    """
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name} of version {version}")
    found, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if found != shape or dtype.kind not in "iufb" or dtype.hasobject:
        raise ValueError(f"{name} of {found} {dtype} in the place of {shape}")
