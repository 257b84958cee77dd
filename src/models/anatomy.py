"""How a layer looks at its input, and what it costs: Keras' layers and the project's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from keras import layers as kl

from src.arithmetic import costs, sizes
from src.arithmetic.costs import Cost
from src.arithmetic.receptive_field import Window
from src.layers import (
    AverageUnpool2D,
    CropLike2D,
    DepthwiseConv2DTranspose,
    EuclideanRbf,
    MaxPoolWithArgmax2D,
    MaxUnpool2D,
    SparseConv2D,
    Subsampling2D,
)
from src.models.vgg16 import CaffeScaling

Value = TypeVar("Value")
Sides = tuple[int, int]
Shape = tuple[int, ...]

# They have no windows, and are not counted.
_FREE = (
    *(kl.Activation, kl.ReLU, kl.LeakyReLU, kl.ELU, kl.Softmax, kl.Identity, kl.Rescaling),
    *(kl.Dropout, kl.SpatialDropout2D, kl.GaussianDropout, kl.GaussianNoise, kl.AlphaDropout),
    *(kl.ActivityRegularization, kl.Masking, kl.Flatten, kl.Reshape, CaffeScaling, CropLike2D),
    *(kl.Add, kl.Subtract, kl.Multiply, kl.Average, kl.Maximum, kl.Minimum, kl.Concatenate),
)
_NORMALISING = (
    *(kl.BatchNormalization, kl.LayerNormalization, kl.GroupNormalization),
    *(kl.RMSNormalization, kl.UnitNormalization, kl.Normalization),
)


@dataclass(frozen=True)
class Geometry:
    """The windows of a layer: how they are written, and how they map either axis."""

    kernel: Sides | None = None
    stride: Sides | None = None
    padding: str | None = None
    axes: tuple[Window, Window] = (Window(), Window())


def anatomy(layer: kl.Layer, inputs: Shape, outputs: Shape) -> tuple[Geometry | None, Cost]:
    """The windows of a layer on `inputs`, `(height, width, channels)` or `(units,)`, and its cost.

    Returns:
        None in place of the windows if they are not known.
    """
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return None, Cost(_trained(layer))
    units, bias = math.prod(outputs), getattr(layer, "use_bias", False)
    match layer:
        case kl.SeparableConv2D() | kl.DepthwiseConv2D():
            return _sliding(
                inputs, layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate
            ), _depthwise(layer, inputs, outputs, bias)
        case kl.Conv2D():
            seen = inputs[2] // layer.groups
            kernel, dilation = layer.kernel_size, layer.dilation_rate
            return (
                _sliding(inputs, kernel, layer.strides, layer.padding, dilation),
                costs.conv2d_cost(_hwc(outputs), kernel, seen, bias),
            )
        case SparseConv2D():
            kernel = (layer.kernel_size, layer.kernel_size)
            pairs = sum(map(len, layer.table))
            cost = costs.sparse_conv2d_cost(_hwc(outputs), kernel, pairs)
            return _sliding(inputs, kernel, (1, 1), "valid"), cost
        case kl.Conv2DTranspose():
            cost = costs.conv2d_transpose_cost(_hwc(inputs), _hwc(outputs), layer.kernel_size, bias)
            return _stamping(layer, inputs, outputs, layer.dilation_rate), cost
        case DepthwiseConv2DTranspose():
            uses = math.prod(inputs) * math.prod(layer.kernel_size)
            cost = Cost(math.prod(layer.kernel_size) * inputs[2], uses, uses)
            return _stamping(layer, inputs, outputs), cost
        case kl.MaxPooling2D() | kl.AveragePooling2D() | MaxPoolWithArgmax2D():
            cost = Cost(0, units * math.prod(layer.pool_size), 0)
            return _sliding(inputs, layer.pool_size, layer.strides, layer.padding), cost
        case Subsampling2D():
            cost = costs.subsampling_cost(_hwc(outputs), (2, 2))
            return _sliding(inputs, (2, 2), (2, 2), "valid"), cost
        case MaxUnpool2D():
            likely = map(sizes.likely_window, outputs[:2], inputs[:2])
            return _replicating(inputs, outputs, _two(likely)), Cost()
        case AverageUnpool2D():
            return _replicating(inputs, outputs, layer.pool_size), Cost()
        case kl.ZeroPadding2D():
            return Geometry(axes=_two(Window(lead=before) for before, _ in layer.padding)), Cost()
        case kl.Cropping2D():
            return Geometry(axes=_two(Window(lead=-before) for before, _ in layer.cropping)), Cost()
        case kl.CenterCrop() if inputs[0] >= layer.height and inputs[1] >= layer.width:
            kept = zip(inputs[:2], outputs[:2], strict=True)
            return Geometry(axes=_two(Window(lead=-((n - side) // 2)) for n, side in kept)), Cost()
        case kl.Dense():
            return Geometry(), costs.dense_cost(inputs[-1], outputs[-1], bias)
        case EuclideanRbf():
            return Geometry(), costs.rbf_cost(inputs[-1], outputs[-1])
        case kl.UpSampling2D():
            # Interpolation looks at a neighbour on either side at most.
            reach = {"nearest": 1, "bilinear": 2}.get(layer.interpolation)
            return _upsampling(layer.size, reach) if reach else None, Cost()
        case kl.GlobalAveragePooling2D() | kl.GlobalMaxPooling2D():
            return Geometry(), Cost(0, math.prod(inputs), 0)
        case kl.PReLU():
            return Geometry(), Cost(layer.count_params(), units, units)
        case _ if isinstance(layer, _NORMALISING):
            # Statistics of an example's own maps are of all places, those of channels of one.
            axis = np.ravel(getattr(layer, "axis", -1)).tolist()
            alone = isinstance(layer, kl.BatchNormalization | kl.Normalization)
            alone |= not isinstance(layer, kl.GroupNormalization) and axis in ([-1], [len(outputs)])
            cost = Cost(_trained(layer), 2 * units, units)
            return Geometry() if alone else None, cost
    return (Geometry() if isinstance(layer, _FREE) else None), Cost(_trained(layer))


def _trained(layer: kl.Layer) -> int:
    """How many of a layer's numbers are trained; statistics of batches are not."""
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def _depthwise(layer: kl.Layer, inputs: Shape, outputs: Shape, bias: bool) -> Cost:
    """The cost of a depthwise convolution, and of the pointwise one after it if there is any."""
    height, width, _ = outputs
    channels = inputs[2] * layer.depth_multiplier
    separable = isinstance(layer, kl.SeparableConv2D)
    each = costs.depthwise_conv2d_cost(
        (height, width, channels), layer.kernel_size, bias and not separable
    )
    return each + costs.conv2d_cost(_hwc(outputs), (1, 1), channels, bias) if separable else each


def _upsampling(size: Sides, reach: int) -> Geometry:
    """The windows of an interpolation: tents of a bilinear one, blocks of a nearest one."""
    axes = (
        Window(s if reach == 1 else 2 * s - s % 2, s, (reach - 1) * (s // 2), transposed=True)
        for s in size
    )
    return Geometry(_two(size), _two(size), None, _two(axes))


def _sliding(
    inputs: Shape, kernel: Sides, stride: Sides, padding: str, dilation: Sides = (1, 1)
) -> Geometry:
    """The windows of a convolution or a pooling."""
    axes = (
        Window((k - 1) * d + 1, s, sizes.conv_padding(n, k, s, padding, d)[0])
        for n, k, s, d in zip(inputs[:2], kernel, stride, dilation, strict=True)
    )
    return Geometry(_two(kernel), _two(stride), padding, _two(axes))


def _stamping(layer: kl.Layer, inputs: Shape, outputs: Shape, dilation: Sides = (1, 1)) -> Geometry:
    """The windows of a transposed convolution."""
    axes = []
    for axis in (0, 1):
        k, s, d = layer.kernel_size[axis], layer.strides[axis], dilation[axis]
        crop = sizes.conv_transpose_crop(inputs[axis], k, s, layer.padding, outputs[axis], d)
        axes.append(Window((k - 1) * d + 1, s, crop, transposed=True))
    return Geometry(_two(layer.kernel_size), _two(layer.strides), layer.padding, _two(axes))


def _replicating(inputs: Shape, outputs: Shape, side: Sides) -> Geometry:
    """The windows of an unpooling."""
    axes = (
        Window(s, s, max(n * s - size, 0) // 2, transposed=True)
        for n, size, s in zip(inputs[:2], outputs[:2], side, strict=True)
    )
    return Geometry(_two(side), _two(side), None, _two(axes))


def _two(values: Iterable[Value]) -> tuple[Value, Value]:
    first, second = values
    return first, second


def _hwc(shape: Shape) -> tuple[int, int, int]:
    height, width, channels = shape
    return height, width, channels
