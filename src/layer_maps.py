"""What a trained network's layers look like: the first one's kernels, the activations of any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from src import figures
from src.activations import Pictures, output
from src.models.vgg16 import CaffeScaling

# Pixels of a side of what is kept to be drawn.
_LARGEST = 512


def kernels(trained: keras.Model, untrained: keras.Model) -> figures.Picture | None:
    """Draws the kernels of the first convolution that looks at a picture; None if there is none."""
    first = next((layer for layer in trained.layers if _sees_colours(layer)), None)
    if first is None:
        return None
    groups = {
        "trained": colour_kernels(trained, first.name),
        "random weights": colour_kernels(untrained, first.name),
    }
    return figures.kernels(first.name, groups)


def colour_kernels(network: keras.Model, layer: str) -> list[np.ndarray]:
    """A layer's kernels, each `[height, width, 1 or 3]`, in the order of a picture's colours."""
    kernel = network.get_layer(layer).kernel.numpy()
    if kernel.shape[2] == 3 and any(isinstance(each, CaffeScaling) for each in network.layers):
        kernel = kernel[:, :, ::-1]
    return list(np.moveaxis(kernel, -1, 0))


def activations(
    model: keras.Model,
    layer: str,
    pictures: Pictures,
    examples: Sequence[int],
    chosen: Sequence[int],
) -> figures.Picture:
    """Draws what some maps make of examples, of which one at a time is in memory.

    Args:
        model: the network.
        layer: name of the layer.
        pictures: what the examples are of.
        examples: their numbers.
        chosen: numbers of the maps.
    """
    network = keras.Model(model.inputs[0], output(model, layer))
    shown, maps, ends = {}, {}, {}
    for number, picture in pictures.some(examples):
        found = _places(network(picture[None], training=False))[..., list(chosen)]
        shown[number], maps[number] = reduced(picture), reduced(found)
        ends[number] = found.min(axis=(0, 1)), found.max(axis=(0, 1))
    rows = {}
    for at, number in enumerate(chosen):
        least = min(ends[each][0][at] for each in examples)
        most = max(ends[each][1][at] for each in examples)
        label = f"map {number}\n{_short(least)} to {_short(most)}"
        rows[label] = [maps[each][..., at] for each in examples]
    return figures.activations(layer, [shown[each] for each in examples], rows)


def reduced(maps: np.ndarray) -> np.ndarray:
    """Maps `[height, width, any]` by means of squares, until a page has room for them."""
    factor = -(-max(maps.shape[:2]) // _LARGEST)
    if factor == 1:
        return maps
    if min(maps.shape[:2]) < factor:
        return maps[::factor, ::factor]
    height, width = (side // factor for side in maps.shape[:2])
    squares = maps[: height * factor, : width * factor]
    return squares.reshape(height, factor, width, factor, -1).mean(axis=(1, 3))


def _sees_colours(layer: keras.Layer) -> bool:
    """Whether a layer is a convolution of a picture's grey or colours."""
    return isinstance(layer, keras.layers.Conv2D) and layer.kernel.shape[2] in (1, 3)


def _places(values: Any) -> np.ndarray:
    """One picture's activations, `[rows, columns, maps]`; a dense layer's have one place."""
    array = np.asarray(values)[0]
    return array if array.ndim == 3 else array.reshape(1, 1, -1)


def _short(number: float) -> str:
    return f"{number:.0f}" if 10 <= abs(number) < 1e5 else f"{number:.2g}"
