"""Crops of photographs that come with packages: colour pictures that need no download.

`china.jpg` (by danielbuechele) and `flower.jpg` (by vultilion) come with scikit-learn, under the
Creative Commons licence CC BY 2.0; `grace_hopper.jpg`, a photograph of Rear Admiral Grace Hopper by
James S. Davis of the United States Navy, in the public domain, comes with matplotlib.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from src.config import Photographs
from src.data import images
from src.data.dataset import DataError, DataSet
from src.data.examples import Split
from src.data.splits import digests

# Class, package and file in it.
_FILES = {
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
# Columns of each split, as parts of the width: training never sees what is tested.
REGIONS = {"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}
_MOST_PIXELS = 2**31


def load(data: Photographs) -> DataSet:
    """Reads the photographs and cuts the crops out."""
    photographs = [read(name) for name in _FILES]
    counts = {"train": data.train_crops, "val": data.val_crops, "test": data.test_crops}
    splits = {
        split: crops(photographs, split, count, (data.height, data.width), data.crop_seed)
        for split, count in counts.items()
    }
    source = "crops of photographs in scikit-learn (CC BY 2.0) and matplotlib (public domain)"
    return DataSet(data.name, source, digests(splits), tuple(_FILES), "labels", splits)


def read(name: str) -> np.ndarray:
    """Reads a photograph, uint8 `[height, width, 3]`.

    Args:
        name: `china`, `flower` or `hopper`.

    Raises:
        DataError: its package is not there, or has another file.
    """
    package, file = _FILES[name]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"expected the package {package}, in which {file} is; received none")
    path = Path(spec.origin).parent / file
    return images.decode(images.read(path), path, 3, 1)


def crops(
    photographs: list[np.ndarray], split: str, count: int, size: tuple[int, int], seed: int
) -> Split:
    """Cuts windows out at random, from every photograph in turn.

    Args:
        photographs: uint8 `[height, width, 3]` each.
        split: `train`, `val` or `test`; each has a region and random numbers of its own.
        count: number of crops.
        size: their height and width.
        seed: of their places.

    Returns:
        uint8 images `[count, height, width, 3]` and int32 labels `[count]`, the photographs'
        places in the list. Crop number i is the same whatever the count.

    Raises:
        DataError: so many do not fit into memory.
    """
    height, width = size
    if count * height * width > _MOST_PIXELS:
        raise DataError(
            f"expected data.{split}_crops * data.height * data.width of at most {_MOST_PIXELS:,} "
            f"pixels; received {count} * {height} * {width}"
        )
    sequence = np.random.SeedSequence(seed, spawn_key=(list(REGIONS).index(split),))
    places = np.random.Generator(np.random.PCG64(sequence)).random((count, 2))
    labels = np.arange(count, dtype=np.int32) % len(photographs)
    found = np.empty((count, height, width, 3), np.uint8)
    for number, (label, (down, across)) in enumerate(zip(labels, places, strict=True)):
        whole = photographs[label]
        first, last = (round(part * whole.shape[1]) for part in REGIONS[split])
        top = int(down * (whole.shape[0] - height + 1))
        left = first + int(across * (last - first - width + 1))
        found[number] = whole[top : top + height, left : left + width]
    return Split(found, labels)
