"""Draws the figure of one photograph through convolution, pooling and bilinear upsampling.

python -m docs.draw_photograph

The photograph is scikit-learn's `china.jpg`, 427x640 pixels.
"""

from __future__ import annotations

import math
from pathlib import Path

import keras
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image

from src.layers.initializers import Bilinear
from src.layers.upsampling import CropLike2D

FILE = Path(__file__).parent / "figures" / "photograph.png"
MAPS, SHOWN = 64, 14
# The end of a roof against the sky.
DETAIL = slice(66, 106), slice(130, 190)


def photograph() -> np.ndarray:
    """The photograph, floats in [0, 1] `[1, 427, 640, 3]`."""
    return load_sample_image("china.jpg")[None].astype("float32") / 255


def network() -> keras.Model:
    """A convolution of 64 maps, max pooling, and bilinear upsampling back to the picture's size.

    SAME pooling of an odd side pads last: one row more comes back, which is cut off at the end.
    """
    image = keras.Input((None, None, 3), name="photograph")
    kernel = keras.initializers.GlorotUniform(seed=3)
    maps = layers.Conv2D(
        MAPS, 3, padding="same", activation="relu", kernel_initializer=kernel, name="maps"
    )(image)
    pooled = layers.MaxPooling2D(2, padding="same", name="pooled")(maps)
    grown = layers.Conv2DTranspose(
        MAPS, 4, 2, padding="same", use_bias=False, kernel_initializer=Bilinear(), name="grown"
    )(pooled)
    return keras.Model(image, [maps, pooled, CropLike2D(name="upsampled")(grown, image)])


def variant(pooled: np.ndarray, height: int, width: int) -> np.ndarray:
    """The upsampling that is often printed: a kernel of 3, a wrong centre, the size asked for.

    Its centre depends on whether half the kernel's width is even, where the width itself decides:
    1/4, 3/4, 3/4 instead of 1/2, 1, 1/2. And three weights over a stride of two lie half a pixel
    off whatever their centre.
    """
    import tensorflow as tf

    size = 3
    half = math.ceil(size / 2)
    centre = (2 * half - 1 - half % 2) / (2 * half)
    tent = 1 - np.abs(np.arange(size) / half - centre)
    channels = np.eye(pooled.shape[-1])
    kernel = (np.outer(tent, tent)[:, :, None, None] * channels).astype("float32")
    shape = (len(pooled), height, width, pooled.shape[-1])
    return tf.nn.conv2d_transpose(pooled, kernel, shape, 2, "SAME").numpy()


def centre_of(grown: np.ndarray) -> tuple[float, float]:
    """Row and column about which what came of one element lies."""
    weights = grown.sum(axis=(0, 3))
    rows, columns = (np.arange(size) for size in weights.shape)
    total = weights.sum()
    return float(weights.sum(1) @ rows / total), float(weights.sum(0) @ columns / total)


def shifts() -> tuple[tuple[float, float], tuple[float, float]]:
    """How far down and to the right each upsampling puts an element of 427x640 pixels' maps."""
    element = np.zeros((1, 214, 320, MAPS), "float32")
    element[0, 100, 200] = 1
    # It stands for the rows 200 and 201 and the columns 400 and 401.
    right = network().get_layer("grown")(element)[:, :427]
    found = centre_of(ops.convert_to_numpy(right)), centre_of(variant(element, 427, 640))
    (down, across), (other_down, other_across) = found
    return (down - 200.5, across - 400.5), (other_down - 200.5, other_across - 400.5)


def draw() -> Figure:
    """Every stage of one of the maps, a detail of each below it."""
    picture = photograph()
    maps, pooled, right = (stage.numpy() for stage in network()(picture))
    wrong = variant(pooled, *picture.shape[1:3])
    figure, panels = plt.subplots(2, 5, figsize=(15, 4.5), layout="constrained")
    down, across = DETAIL
    half = slice(down.start // 2, down.stop // 2), slice(across.start // 2, across.stop // 2)
    titles = (
        *("photograph, 427x640", "a map of 64, 3x3", "max-pooled, 214x320"),
        *("bilinear, aligned", "as often printed"),
    )
    stages = [picture[0], *(stage[0, :, :, SHOWN] for stage in (maps, pooled, right, wrong))]
    most = float(np.quantile(maps[0, :, :, SHOWN], 0.999))
    for column, (title, stage) in enumerate(zip(titles, stages, strict=True)):
        _show(panels[0, column], stage, title, most)
        _show(panels[1, column], stage[half if column == 2 else DETAIL], "", most)
    return figure


def _show(axes: Axes, stage: np.ndarray, title: str, most: float) -> None:
    axes.imshow(stage, cmap="gray", vmin=0, vmax=most, interpolation="nearest")
    axes.set_title(title, fontsize=11)
    axes.axis("off")


if __name__ == "__main__":
    figure = draw()
    figure.savefig(FILE, dpi=80, metadata={"Software": None})
    for name, (down, across) in zip(("aligned", "as often printed"), shifts(), strict=True):
        print(f"{name}: {down:+.2f} pixels down, {across:+.2f} to the right")
