"""Small folders of pictures, a folder for each class, written with Pillow."""

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")


def picture(label, number, size=(20, 30)):
    """A picture in the colour of its class that says its number; no two are alike."""
    image = np.zeros((*size, 3), np.uint8)
    image[..., 2 - label] = 200
    image[: size[0] // 2, :, label - 1] = number
    return image


def write(folder, count=20, classes=CLASSES, sizes=((20, 30),), ending="png"):
    """Writes numbered pictures for each class, whose sizes take turns; returns the folder."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = picture(label % 3, number + count * (label // 3), sizes[number % len(sizes)])
            Image.fromarray(image).save(folder / name / f"{number:03d}.{ending}")
    return folder
