"""What multiplies with the kernels of dense and convolutional layers, and how it is chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from keras import layers, ops

from src.kernels import depth_to_space, strided
from src.tensors import Tensor

Product = Callable[[Tensor, Tensor], Tensor]

# Channels that leave a vector register of 16 numbers half empty.
_FEW = 8
# The kernel and the strides for which strided gradients were measured to gain.
_MEASURED = {"kernel_size": (5, 5), "strides": (2, 2)}
# The kernel and the strides for which a row's pixels as channels were measured to gain.
_UPSAMPLING = {"kernel_size": (16, 16), "strides": (8, 8)}
_PLAIN = {"dilation_rate": (1, 1), "data_format": "channels_last"}


def faster(layer: layers.Layer, shape: tuple[int, ...]) -> Product | None:
    """What multiplies maps of a shape with a layer's kernel faster than Keras does, if anything."""
    if type(layer) is layers.Dense or not _has(layer, _PLAIN):
        return None
    if type(layer) is layers.Conv2D:
        if layer.groups > 1:
            return None
        whole = tuple(shape[1:3]) == layer.kernel_size != (1, 1) == layer.strides
        if layer.padding == "valid" and whole:
            return _whole
        halves = all(side and side % 2 == 0 for side in shape[1:3])
        if layer.padding == "same" and halves and shape[3] >= _FEW and _has(layer, _MEASURED):
            return lambda x, kernel: strided.conv2d(x, kernel, layer.strides)
        return None
    if layer.padding != "same" or layer.output_padding is not None:
        return None
    strides = layer.strides
    if layer.filters < _FEW and layer.kernel_size == (5, 5) and strides in ((1, 1), (2, 2)):
        product = depth_to_space.conv2d_transpose
        return lambda x, kernel: strided.conv2d_transpose(x, kernel, strides, product)
    if layer.filters < 2 * _FEW and _has(layer, _UPSAMPLING):
        return lambda x, kernel: depth_to_space.conv2d_transpose_by_rows(x, kernel, strides)
    if _has(layer, _MEASURED):
        return lambda x, kernel: strided.conv2d_transpose(x, kernel, strides)
    return None


def _whole(x: Tensor, kernel: Tensor) -> Tensor:
    """A convolution whose kernel is as large as its input: a matrix product, done as one."""
    filters = kernel.shape[-1]
    rows = ops.reshape(x, (-1, math.prod(x.shape[1:])))
    return ops.reshape(ops.matmul(rows, ops.reshape(kernel, (-1, filters))), (-1, 1, 1, filters))


def own(layer: layers.Layer) -> Product:
    """What Keras multiplies with the layer's kernel."""
    if type(layer) is layers.Dense:
        return ops.matmul
    if type(layer) is layers.Conv2D:
        return layer.convolution_op
    return lambda x, kernel: ops.conv_transpose(
        x,
        kernel,
        strides=list(layer.strides),
        output_padding=layer.output_padding,
        padding=layer.padding,
        dilation_rate=layer.dilation_rate,
        data_format=layer.data_format,
    )


def affine(
    layer: layers.Layer,
    product: Product,
    activation: Callable[[Tensor], Tensor] | None,
) -> Callable[[Tensor], Tensor]:
    """A dense or convolutional layer with another product and activation."""
    dtype = layer.compute_dtype
    shape = (-1, 1, 1) if getattr(layer, "data_format", None) == "channels_first" else (-1,)

    def call(x: Tensor) -> Tensor:
        y = product(ops.cast(x, dtype), ops.cast(layer.kernel, dtype))
        if layer.use_bias:
            bias = ops.reshape(ops.cast(layer.bias, dtype), shape)
            y = y + bias if type(layer) is layers.Conv2DTranspose else ops.add(y, bias)
        return y if activation is None else activation(y)

    return call


def _has(layer: layers.Layer, options: Mapping[str, object]) -> bool:
    return all(getattr(layer, name) == value for name, value in options.items())
