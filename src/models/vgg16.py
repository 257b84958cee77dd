"""VGG16's input, its size, and its published weights.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition" (2015),
configuration D; made fully convolutional as in Long, Shelhamer, Darrell, "Fully convolutional
networks for semantic segmentation" (2015, section 3.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from src.errors import UserError
from src.kernels.indexing import Tensor

# Convolutions and feature maps of each stage, and of the two layers that were fully connected.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
FULLY_CONNECTED = 4096
# Mean blue, green and red of ImageNet's training pictures, of 255.
_MEANS = (103.939, 116.779, 123.68)

_Pair = tuple[np.ndarray, np.ndarray]


@keras.saving.register_keras_serializable("deconv")
class CaffeScaling(keras.layers.Layer):
    """Pictures in [0, 1] as VGG16 was trained on them: BGR of 255, less ImageNet's mean.

    Grey pictures count as three equal channels.

    Shapes: `[batch, height, width, 1 or 3]` to `[batch, height, width, 3]`.

    Raises:
        ValueError: (when called) there are neither 1 nor 3 channels.
    """

    def call(self, x: Tensor) -> Tensor:
        """Returns the scaled pictures."""
        if x.shape[-1] == 1:
            x = ops.repeat(x, 3, axis=-1)
        return ops.flip(x, axis=-1) * 255 - ops.convert_to_tensor(_MEANS, x.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        if input_shape[-1] not in (1, 3):
            raise ValueError(f"expected 1 or 3 channels; received {input_shape=}")
        return (*input_shape[:-1], 3)


def load_weights(model: keras.Model, weights: str) -> str:
    """Loads the published weights into the layers `conv1_1` to `conv5_3`, `fc6` and `fc7`.

    The dense weights of `fc1`, `[7 * 7 * 512, 4096]`, are those of a convolution `[7, 7, 512,
    4096]` in row-major order. Where the source has none, or the model has no such layer, only the
    thirteen convolutions are loaded.

    Args:
        model: whose weights they become.
        weights: a file of `keras.applications.VGG16`, or `imagenet` to download it.

    Returns:
        What was loaded, in a line.

    Raises:
        UserError: the file cannot be had, or is not VGG16's.
    """
    pairs = _downloaded() if weights == "imagenet" else _read(Path(weights))
    convolutional = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    layers = [layer for layer in convolutional if layer.name.startswith(("conv", "fc"))]
    convolutions = sum(count for count, _ in STAGES)
    if len(pairs) < len(layers) and len(pairs) == convolutions:
        layers = layers[:convolutions]
    if len(pairs) < len(layers) or not all(map(_fits, layers, pairs)):
        shapes = ", ".join("x".join(map(str, kernel.shape)) for kernel, _ in pairs[:3])
        raise UserError(
            f"expected the weights of VGG16 in model.weights={weights}; "
            f"received {len(pairs)} layers of {shapes}, ..."
        )
    for layer, (kernel, bias) in zip(layers, pairs, strict=False):
        layer.set_weights([kernel.reshape(layer.kernel.shape), bias])
    return f"{layers[0].name} to {layers[-1].name} begin with the weights of {weights}"


def _fits(layer: keras.layers.Layer, pair: _Pair) -> bool:
    """Whether the weights are the layer's, or those of the same layer over a flat map."""
    shape, kernel = tuple(layer.kernel.shape), pair[0]
    dense = (int(np.prod(shape[:-1])), shape[-1])
    return kernel.shape == (dense if layer.name.startswith("fc") else shape)


def _downloaded() -> list[_Pair]:
    try:
        model = keras.applications.VGG16(weights="imagenet")
    # A failed download is a bare Exception of Keras'; whatever the reason, there are no weights.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            "expected to download VGG16 for model.weights=imagenet (a file can be given instead: "
            f"model.weights=<path to Keras' vgg16 .h5>); received {reason}"
        ) from error
    weights = [layer.get_weights() for layer in model.layers if layer.weights]
    return [(kernel, bias) for kernel, bias in weights]


def _read(path: Path) -> list[_Pair]:
    """Reads kernels and biases in the order of the layers, from either of Keras' HDF5 formats."""
    try:
        with h5py.File(path) as file:
            groups = _groups(file.get("model_weights", file))
            arrays = [[np.asarray(item) for item in group] for group in groups]
    except (OSError, KeyError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"expected a weights file of Keras' VGG16; received model.weights={path} ({reason})"
        ) from error
    return [(layer[0], layer[1]) for layer in arrays if len(layer) == 2]


def _groups(root: Any) -> list[list[h5py.Dataset]]:
    """The arrays of each layer."""
    if "layer_names" in root.attrs:
        layers = [root[name] for name in root.attrs["layer_names"]]
        return [[layer[name] for name in layer.attrs["weight_names"]] for layer in layers]
    layers = root["layers"]
    # Keras counts them class by class: conv2d, conv2d_1, ..., dense, dense_1, ...
    names = [f"{kind}_{n}" if n else kind for kind in ("conv2d", "dense") for n in range(20)]
    return [list(layers[name]["vars"].values()) for name in names if name in layers]
