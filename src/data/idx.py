"""MNIST's own file format, IDX, checked against its header before anything is believed.

An IDX file is a big-endian header, two zero bytes, a type (8: unsigned byte), the number of
dimensions and the sizes, and then the bytes in row-major order (Y. LeCun, C. Cortes and
C. Burges, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np

from src.data.dataset import DataError
from src.data.examples import Split
from src.data.reading import open_regular

SIZE = 28
CLASSES = 10
# Of 784 bytes: 1.5 GB in memory. A gzip file of as many zeros has a megabyte and a half.
_MOST_EXAMPLES = 2_000_000
_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_PREFIXES = {"train": "train", "test": "t10k"}
# Magic number, inner shape and meaning of the two kinds of file.
_IMAGES = (0x0803, (SIZE, SIZE), "images")
_LABELS = (0x0801, (), "labels")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_folder(folder: Path) -> dict[str, Split]:
    """Reads the four files of an MNIST-like data set, gzipped or not, named either way.

    Args:
        folder: holds `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, likewise
            `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`,
            each as it is or with `.gz`; of several the first in this order is read.

    Returns:
        `train` and `test` with images `[n, 28, 28, 1]` and int32 labels `[n]`, in file order.

    Raises:
        DataError: a file is missing, truncated, too long, of another kind or size, or its
            counterpart holds another number of examples.
    """
    if not os.path.isdir(folder):  # Unlike Path.is_dir, never raises.
        raise DataError(f"expected data.idx_dir to be a folder; received data.idx_dir={folder}")
    paths = {
        (split, kind): _find(folder, f"{prefix}-{kind}", rank)
        for split, prefix in _PREFIXES.items()
        for kind, rank in (("images", 3), ("labels", 1))
    }
    splits = {}
    for split in _PREFIXES:
        image_path, label_path = paths[split, "images"], paths[split, "labels"]
        images, labels = _read(image_path, *_IMAGES), _read(label_path, *_LABELS)
        if len(images) != len(labels):
            raise DataError(
                f"expected as many labels as images; received {len(labels)} in {label_path} "
                f"and {len(images)} in {image_path}"
            )
        if labels.max() >= CLASSES:
            raise DataError(
                f"{label_path}: expected labels 0 to {CLASSES - 1}; received {labels.max()}"
            )
        splits[split] = Split(images[..., None], labels.astype(np.int32))
    return splits


def _find(folder: Path, stem: str, rank: int) -> Path:
    names = [f"{stem}{dot}idx{rank}-ubyte{end}" for end in ("", ".gz") for dot in "-."]
    for name in names:
        if os.path.isfile(folder / name):
            return folder / name
    raise DataError(
        f"expected one of {', '.join(names)} in data.idx_dir; received data.idx_dir={folder}"
    )


def _read(path: Path, magic: int, inner: tuple[int, ...], kind: str) -> np.ndarray:
    """Reads one file.

    Args:
        path: the file; whether it is gzipped is seen from its bytes, not from its name.
        magic: the number the file has to start with.
        inner: the shape of one example.
        kind: what the file holds, for messages.

    Returns:
        uint8 `[examples, *inner]`.
    """
    try:
        with open(open_regular(path), "rb") as raw:
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not zipped:
                return _parse(raw, path, magic, inner, kind)
            with gzip.GzipFile(fileobj=raw) as file:
                return _parse(file, path, magic, inner, kind)
    except EOFError as error:
        raise DataError(f"{path}: expected a whole gzip file; received a truncated one") from error
    except (OSError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: expected a readable file; received {reason}") from error


def _parse(
    file: _Readable, path: Path, magic: int, inner: tuple[int, ...], kind: str
) -> np.ndarray:
    header = _take(file, 4 * (2 + len(inner)))
    if len(header) >= 4 and int.from_bytes(header[:4], "big") != magic:
        raise DataError(
            f"{path}: expected an IDX file of {kind}, magic number {magic:#06x}; "
            f"received {int.from_bytes(header[:4], 'big'):#06x}"
        )
    if len(header) < 4 * (2 + len(inner)):
        raise DataError(
            f"{path}: expected a header of {4 * (2 + len(inner))} bytes; "
            f"received {len(header)} bytes"
        )
    count, *sizes = np.frombuffer(header, ">u4", offset=4).tolist()
    if tuple(sizes) != inner:
        raise DataError(f"{path}: expected {kind} of {_by(inner)} pixels; received {_by(sizes)}")
    if not 1 <= count <= _MOST_EXAMPLES:
        raise DataError(
            f"{path}: expected 1 to {_MOST_EXAMPLES:,} {kind}; received a header of {count:,}"
        )
    wanted = count * math.prod(inner)
    # The byte too many shows trailing bytes, and makes gzip check its checksum.
    content = _take(file, wanted + 1)
    if len(content) != wanted:
        received = f"{len(content):,}" if len(content) < wanted else "more"
        raise DataError(
            f"{path}: expected {wanted:,} bytes after the header ({count:,} {kind}); "
            f"received {received}"
        )
    return np.frombuffer(content, np.uint8).reshape(count, *inner)


def _take(file: _Readable, size: int) -> bytearray:
    """Reads at most `size` bytes in pieces: memory follows the file, not what a header claims."""
    taken = bytearray()
    while size and (piece := file.read(min(size, _CHUNK))):
        taken += piece
        size -= len(piece)
    return taken


def _by(sizes: tuple[int, ...] | list[int]) -> str:
    return "x".join(map(str, sizes))
