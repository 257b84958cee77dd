"""What `benchmarks.train` and `benchmarks.products` train: networks, batches and data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks import contest, mask_folder
from src.config import Scenes
from src.data.sources import scenes

MNIST_EPOCH = 550
_NOT_TRAINED = 8


class Setup(NamedTuple):
    """A network and what it is trained on.

    Attributes:
        arguments: those of `src.train` that choose it.
        batch: examples a step.
        shape: height, width and channels of a picture.
        classes: of an example or of a pixel.
        steps: of an epoch, unless another number is asked for.
        prepare: writes the data of so many steps to a folder, `data.npz` for the peers; returns
            the further arguments of `src.train`, which trains an epoch and then those steps.
    """

    arguments: tuple[str, ...]
    batch: int
    shape: tuple[int, int, int]
    classes: int
    steps: int
    prepare: Callable[[Setup, int, Path], list[str]]


def _mnist(setup: Setup, steps: int, folder: Path) -> list[str]:
    contest.write_mnist(folder / "data.npz")
    return [f"trainer.steps={MNIST_EPOCH + steps}"]


def _scenes(setup: Setup, steps: int, folder: Path) -> list[str]:
    data = Scenes(name="scenes", train_scenes=steps * setup.batch)
    train = scenes.load(data).splits["train"].arrays()
    _write(setup, folder, train.images, train.targets)
    return [f"data.train_scenes={data.train_scenes}", "trainer.epochs=2"]


def _street(setup: Setup, steps: int, folder: Path) -> list[str]:
    pictures = {"train": steps * setup.batch, "val": _NOT_TRAINED, "test": _NOT_TRAINED}
    mask_folder.write(folder / "street", pictures, 360, 480)
    height, width, _ = setup.shape
    images, masks = (
        np.stack(
            [
                np.asarray(Image.open(path))[:height, :width]
                for path in sorted((folder / "street" / kind).iterdir())
            ]
        )
        for kind in ("train", "trainannot")
    )
    _write(setup, folder, images, masks)
    return [f"data.dir={folder / 'street'}", "trainer.epochs=2"]


def _write(setup: Setup, folder: Path, images: np.ndarray, masks: np.ndarray) -> None:
    np.savez(
        folder / "data.npz",
        x_train=images,
        y_train=masks,
        batch=setup.batch,
        classes=setup.classes,
    )


_DIGITS = (100, (28, 28, 1), 10, MNIST_EPOCH, _mnist)
SETUPS = {
    "lenet5": Setup(("model=lenet5", "data=mnist"), *_DIGITS),
    "lenet_mnist": Setup(("model=lenet_mnist", "data=mnist"), *_DIGITS),
    "autoencoder": Setup(("model=autoencoder", "data=mnist"), *_DIGITS),
    "fcn": Setup(("model=fcn",), 10, (64, 84, 1), 11, 300, _scenes),
    "street": Setup(("experiment=street",), 8, (240, 320, 3), 11, 45, _street),
}
