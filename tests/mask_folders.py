"""Small folders of images and masks, written with Pillow."""

import numpy as np
from PIL import Image

SPLITS = {"train": 6, "val": 3, "test": 4}


def coordinates(height, width, number=0):
    """An image that says where each pixel was: row, column and number of the picture."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, number)], axis=-1).astype(np.uint8)


def example(height, width, number=0, classes=3):
    """An image, and a mask that follows from its three channels: see `label`."""
    image = coordinates(height, width, number)
    return image, label(image, classes)


def label(image, classes=3):
    """The label that goes with each pixel of an `example`, wherever it has been moved to."""
    return (image.astype(int).sum(axis=-1) % classes).astype(np.uint8)


def write(folder, sizes=((20, 30),), splits=SPLITS, classes=3, masks="{split}annot"):
    """Writes numbered pictures, whose sizes take turns; returns the folder."""
    for split, count in splits.items():
        for kind in (split, masks.format(split=split)):
            (folder / kind).mkdir(parents=True)
        for number in range(count):
            image, mask = example(*sizes[number % len(sizes)], number, classes)
            Image.fromarray(image).save(folder / split / f"{number:02d}.png")
            Image.fromarray(mask).save(folder / masks.format(split=split) / f"{number:02d}.png")
    return folder
