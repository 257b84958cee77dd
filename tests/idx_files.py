"""Writes small IDX data sets for the tests, byte by byte from the format's description."""

import gzip
import struct
from pathlib import Path

import numpy as np

NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


def image_bytes(images: np.ndarray) -> bytes:
    return struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()


def label_bytes(labels: np.ndarray) -> bytes:
    return struct.pack(">4B1I", 0, 0, 8, 1, *labels.shape) + labels.tobytes()


def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 images `[count, 28, 28]` with labels 0, 1, ..., 9, 0, ..."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)
    return images, (np.arange(count) % 10).astype(np.uint8)


def write(
    folder: Path, train: int = 12, test: int = 10, *, zipped: bool = False, dot: str = "-"
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes the four files and returns what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"train": digits(train, seed=1), "test": digits(test, seed=2)}
    for (split, kind), name in NAMES.items():
        images, labels = content[split]
        data = image_bytes(images) if kind == "images" else label_bytes(labels)
        name = name.replace("-idx", f"{dot}idx") + (".gz" if zipped else "")
        (folder / name).write_bytes(gzip.compress(data) if zipped else data)
    return content
