"""VGG16's input, its size, and its published weights.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition" (2015),
configuration D; made fully convolutional as in Long, Shelhamer, Darrell, "Fully convolutional
networks for semantic segmentation" (2015, section 3.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from src.errors import UserError
from src.models import weight_files
from src.tensors import Tensor

# Convolutions and feature maps of each stage, and of the two layers that were fully connected.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
FULLY_CONNECTED = 4096
# Mean blue, green and red of ImageNet's training pictures, of 255.
_MEANS = (103.939, 116.779, 123.68)

_PUBLISHED = (
    "vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    "64373286793e3c8b2b4e3219cbf3544b",
)
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
    convolutional = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    layers = [layer for layer in convolutional if layer.name.startswith(("conv", "fc"))]
    kinds = ["dense" if layer.name.startswith("fc") else "conv2d" for layer in layers]
    path = published() if weights == "imagenet" else Path(weights)
    with weight_files.opened(path) as stored:
        found = weight_files.chosen(stored, kinds)
        pairs = _checked(layers, [each.arrays for each in found if each], weights)
    for layer, (kernel, bias) in zip(layers, pairs, strict=False):
        layer.set_weights([kernel.reshape(layer.kernel.shape), bias])
    return f"{layers[0].name} to {layers[len(pairs) - 1].name} begin with the weights of {weights}"


def published() -> Path:
    """The file of VGG16's weights, fc6 and fc7 among them, downloaded if need be.

    Raises:
        UserError: it cannot be had.
    """
    return weight_files.published(*_PUBLISHED)


def _checked(layers: list[Any], arrays: list[list[Any]], weights: str) -> list[_Pair]:
    """Reads kernels and biases once their shapes are known to be the layers'.

    Raises:
        UserError: there are others, or they are neither of all layers nor of the convolutions.
    """
    convolutions = sum(count for count, _ in STAGES)
    if len(arrays) not in (len(layers), convolutions) or not all(map(_fits, layers, arrays)):
        found = weight_files.shapes([one[0].shape for one in arrays if one])
        raise UserError(
            f"expected the weights of VGG16 in model.weights={weights}; "
            f"received {len(arrays)} layers of {found}, ..."
        )
    return [(np.asarray(kernel), np.asarray(bias)) for kernel, bias in arrays]


def _fits(layer: keras.layers.Layer, arrays: list[Any]) -> bool:
    """Whether the weights are the layer's, or those of the same layer over a flat map."""
    shape = tuple(layer.kernel.shape)
    dense = (int(np.prod(shape[:-1])), shape[-1])
    kernel = dense if layer.name.startswith("fc") else shape
    return [array.shape for array in arrays] == [kernel, shape[-1:]]
