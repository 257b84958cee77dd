"""Weights that others have trained, in a file of Keras' or to be downloaded by it.

Keras writes three forms: `.weights.h5`, the archive `.keras` that has one in it, and the older
`.h5`. They are told apart by what they hold. A stranger's
file runs no code and opens no other file: only arrays are read, and only those whose shapes a
network has. What else it describes, such as layers, is never looked at.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import IO, Any, NamedTuple

import h5py
import keras
import numpy as np

from src.config.backbones import PUBLISHED
from src.data.reading import open_regular, shown
from src.errors import UserError

_MOST_NAMES = 50_000
_DEEPEST = 16
# Where `.keras` keeps its weights.
_MEMBER = "model.weights.h5"


class Stored(NamedTuple):
    """A layer's weights in a file.

    Attributes:
        kind: the class of the layer as Keras counts it, such as `conv2d`; None in the older form,
            where layers stand in the network's order.
        arrays: in the order of the layer's weights; not read yet.
    """

    kind: str | None
    arrays: list[Any]


@contextmanager
def opened(path: Path) -> Iterator[list[Stored]]:
    """Within the block the layers that a file has weights of are known, and can be read.

    Raises:
        UserError: it cannot be read, is no such file, or holds something but numbers.
    """
    try:
        with open(open_regular(path), "rb") as file, h5py.File(_hdf5(file), "r") as root:
            yield _layers(root)
    except UserError:
        raise
    # h5py raises whatever comes up on the way through a damaged file.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            "expected a file of weights that Keras wrote (.h5, .weights.h5 or .keras); "
            f"received model.weights={shown(path)} ({reason})"
        ) from error


def chosen(stored: Sequence[Stored], kinds: Sequence[str]) -> list[Stored | None]:
    """Which of a file's layers those of a network are; None where there are no more.

    Args:
        stored: the file's.
        kinds: of the network's layers, in their order.
    """
    ordered = iter(stored)
    by_kind = {
        kind: iter([each for each in stored if each.kind == kind]) for kind in dict.fromkeys(kinds)
    }
    older = all(each.kind is None for each in stored)
    return [next(ordered if older else by_kind[kind], None) for kind in kinds]


def load(layers: Sequence[keras.layers.Layer], path: Path) -> None:
    """Gives layers the weights that a file has for them; it may have more, such as a top's.

    Raises:
        UserError: it has others, or cannot be read. No weight has been changed.
    """
    with opened(path) as stored:
        found = chosen(stored, [kind_of(layer) for layer in layers])
        for layer, each in zip(layers, found, strict=True):
            ours = [tuple(weight.shape) for weight in layer.weights]
            theirs = [array.shape for array in each.arrays] if each else []
            if ours != theirs:
                raise UserError(
                    f"expected weights of {shapes(ours)} for {layer.name}; received "
                    f"{shapes(theirs)} in model.weights={shown(path)}"
                )
        weights = [[np.asarray(array) for array in each.arrays] for each in found if each]
    for layer, arrays in zip(layers, weights, strict=True):
        layer.set_weights(arrays)


def published(file: str, md5: str) -> Path:
    """A file of weights that Keras publishes, which is downloaded where Keras keeps it.

    Args:
        file: where it is below `backbones.PUBLISHED`.
        md5: digest of what it holds.

    Raises:
        UserError: it cannot be had.
    """
    name = file.rpartition("/")[2]
    try:
        # What Keras says of its progress is no output of ours.
        with redirect_stdout(sys.stderr):
            return Path(
                keras.utils.get_file(
                    name, f"{PUBLISHED}{file}", cache_subdir="models", file_hash=md5
                )
            )
    # A failed download is a bare Exception of Keras'; whatever the reason, there are no weights.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"expected to download {name} for model.weights=imagenet; received {reason} "
            f"(fetched elsewhere, it is given as model.weights=<path to {name}>)"
        ) from error


def check_held(array: Any, size: int, kinds: str) -> None:
    """Refuses what is no array of numbers, written whole and in the file itself.

    Args:
        array: what a file of HDF5 has under a name.
        size: bytes of the file.
        kinds: NumPy's letters for the types of numbers.

    Raises:
        ValueError: it is something else.
    """
    name = array.name.lstrip("/")
    numbers = isinstance(array, h5py.Dataset) and array.dtype.kind in kinds
    if not numbers or array.external or array.is_virtual:
        raise ValueError(f"{name}, which is no array of numbers in the file itself")
    held = array.id.get_storage_size()
    if array.chunks is not None or held != array.nbytes or held > size:
        raise ValueError(f"{name} of {array.shape}, which the file does not hold")


def kind_of(layer: keras.layers.Layer) -> str:
    """The class of a layer as Keras counts it in a file: `conv2d`, `batch_normalization`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def shapes(found: Sequence[tuple[int, ...]]) -> str:
    """Shapes for a message."""
    return ", ".join("x".join(map(str, shape)) or "one" for shape in found[:5]) or "none"


def _hdf5(file: IO[bytes]) -> IO[bytes]:
    """The file itself, or the weights in it if it is an archive.

    Raises:
        ValueError: the weights in an archive are compressed, or larger than the archive.
    """
    if file.read(4) != b"PK\3\4":
        file.seek(0)
        return file
    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        info = archive.getinfo(_MEMBER)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
            raise ValueError(f"{_MEMBER}, which the archive does not hold")
        return io.BytesIO(archive.read(info))


def _layers(root: h5py.File) -> list[Stored]:
    """The layers with weights, in the order in which Keras counts them."""
    size = root.id.get_filesize()
    older = _inside(root, "model_weights") if "model_weights" in root else root
    if "layer_names" in older.attrs:
        layers = [_inside(older, name) for name in older.attrs["layer_names"]]
        arrays = [[_inside(one, name) for name in one.attrs["weight_names"]] for one in layers]
        found = [Stored(None, some) for some in arrays]
    else:
        found = list(_nested(root, "", [_MOST_NAMES], 0))
    for each in found:
        for array in each.arrays:
            check_held(array, size, "iuf")
    return [each for each in found if each.arrays]


def _nested(group: h5py.Group, name: str, left: list[int], depth: int) -> Iterator[Stored]:
    """The layers in a group and in the groups within, each model's in its order."""
    left[0] -= len(group)
    if left[0] < 0 or depth > _DEEPEST:
        raise ValueError(f"more than {_MOST_NAMES} names, or {_DEEPEST} groups in each other")
    for child in sorted(group, key=_natural):
        inner = _inside(group, child)
        if child == "vars":
            kind = re.sub(r"_\d+$", "", name)
            yield Stored(kind, [_inside(inner, n) for n in sorted(inner, key=_natural)])
        elif isinstance(inner, h5py.Group) and child != "optimizer":
            yield from _nested(inner, child, left, depth + 1)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts `conv2d`, `conv2d_1`, `conv2d_2`, ..., `conv2d_10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _inside(group: h5py.Group, name: str | bytes) -> Any:
    """What has a name in a group, through no link: those lead elsewhere, or round in a ring."""
    for part in (name.decode() if isinstance(name, bytes) else name).split("/"):
        if part and not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r}, which is a link or is not there")
        group = group[part] if part else group
    return group
