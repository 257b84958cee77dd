"""Small folders of pictures, a folder for each class, written with Pillow."""

import numpy as np
from PIL import Image

from src.data.sources import photographs

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


def write_crops(folder, each=50):
    """Writes crops of photographs, in a folder for each, and darker variants of five of them."""
    random = np.random.default_rng(0)
    for name in ("china", "flower", "hopper"):
        whole = photographs.read(name)
        (folder / name).mkdir(parents=True)
        for number in range(each):
            side = int(random.integers(90, 180))
            top = int(random.integers(0, whole.shape[0] - side))
            left = int(random.integers(0, whole.shape[1] - side))
            crop = Image.fromarray(whole[top : top + side, left : left + side])
            crop.save(folder / name / f"IMG_{number:04d}.jpg")
            if number < 5:
                crop.point(lambda level: level // 2).save(
                    folder / name / f"IMG_{number:04d}-dark.jpg"
                )
    return folder
