"""A table of a built model: what each layer is, costs and sees.

Costs are for one example and counted as the paper of LeNet-5 counts (`costs`); windows that
overhang the padding count in full. Receptive fields follow every branch (`receptive_field`), and
those of padded layers reach beyond the picture. The positions of an unpooling are seen as well as
its values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers as kl

from src.arithmetic import costs, sizes
from src.arithmetic.costs import Cost
from src.arithmetic.receptive_field import FeatureMap, Window
from src.kernels import windows
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

Pair = tuple[int, int]
Shape = tuple[int, ...]

# They have no windows, and are not counted.
_FREE = (
    *(kl.Activation, kl.ReLU, kl.Dropout, kl.Rescaling, CaffeScaling, CropLike2D),
    *(kl.Add, kl.Concatenate, kl.Flatten, kl.Reshape),
)
# Of the last input, `like`, they take the size only.
_LOOKED_AT = {MaxUnpool2D: 2, AverageUnpool2D: 1, CropLike2D: 1}


@dataclass(frozen=True)
class Row:
    """A layer of the table.

    Attributes:
        name: the layer's name.
        type: its class.
        output_shape: height, width and channels, or units.
        kernel: height and width of its windows; None if it has none.
        stride: their distance, or the growth of the map.
        padding: "valid" or "same"; None if that means nothing to it.
        parameters: all its weights.
        trainable: those that are trained.
        connections: see `costs.Cost`.
        multiply_adds: see `costs.Cost`.
        receptive_field: height and width in input pixels of what an output sees.
        jump: distance in input pixels between neighbouring outputs, vertical and horizontal; None
            once a dense layer has mixed all places.
    """

    name: str
    type: str
    output_shape: Shape
    kernel: Pair | None
    stride: Pair | None
    padding: str | None
    parameters: int
    trainable: int
    connections: int
    multiply_adds: int
    receptive_field: Pair
    jump: tuple[float, float] | None


@dataclass(frozen=True)
class _Windows:
    """The windows of a layer: how they are written, and how they map either axis."""

    kernel: Pair | None = None
    stride: Pair | None = None
    padding: str | None = None
    axes: tuple[Window, Window] = (Window(), Window())


@dataclass(frozen=True)
class _Seen:
    """What a tensor sees: maps along either axis while it has places, else a size."""

    maps: tuple[FeatureMap, FeatureMap] | None
    size: Pair


def rows(model: keras.Model) -> list[Row]:
    """Returns the rows of a functional model in which no layer is used twice.

    Raises:
        ValueError: the sizes of the model are not all known, or a layer is of a class that the
            table does not know.
    """
    table = []
    for layer, output_shape, layout, cost, sight in _walk(model):
        trainable = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        jump = sight.maps and (float(sight.maps[0].jump), float(sight.maps[1].jump))
        table.append(
            Row(
                *(layer.name, type(layer).__name__, output_shape),
                *(layout.kernel, layout.stride, layout.padding),
                *(layer.count_params(), trainable),
                *(cost.connections, cost.multiply_adds),
                *(sight.size, jump),
            )
        )
    return table


def maps(model: keras.Model, name: str) -> tuple[FeatureMap, FeatureMap] | None:
    """What the outputs of a layer see along either axis; None once all places are mixed.

    Raises:
        ValueError: as for `rows`.
    """
    found = (sight.maps for layer, _, _, _, sight in _walk(model) if layer.name == name)
    return next(found, None)


def _walk(model: keras.Model) -> Iterator[tuple[kl.Layer, Shape, _Windows, Cost, _Seen]]:
    """Each layer of a model but its inputs, with the shape of its output and what it sees."""
    seen: dict[int, _Seen] = {}
    for layer in model.layers:
        outputs = _tensors(layer.output)
        if isinstance(layer, kl.InputLayer):
            if None in layer.output.shape[1:]:
                raise ValueError(f"expected a model of known size; received {layer.output.shape}")
            for tensor in outputs:
                seen[id(tensor)] = _Seen((FeatureMap(), FeatureMap()), (1, 1))
            continue
        inputs = _tensors(layer.input)
        looked_at = inputs[: _LOOKED_AT.get(type(layer), len(inputs))]
        shapes = [tuple(tensor.shape[1:]) for tensor in (inputs[0], outputs[0])]
        layout, cost = _anatomy(layer, *shapes)
        sight = _look(layer, layout, shapes[0], [seen[id(tensor)] for tensor in looked_at])
        seen |= {id(tensor): sight for tensor in outputs}
        yield layer, shapes[1], layout, cost, sight


def _tensors(nested: Any) -> list[keras.KerasTensor]:
    return keras.tree.flatten(nested)


def _look(layer: kl.Layer, layout: _Windows, shape: Shape, sources: list[_Seen]) -> _Seen:
    """What the outputs of a layer see, given what its inputs see."""
    largest = tuple(max(source.size[axis] for source in sources) for axis in (0, 1))
    known = [source.maps for source in sources if source.maps]
    if len(known) < len(sources) or isinstance(layer, kl.Reshape):
        return _Seen(None, (largest[0], largest[1]))
    if isinstance(layer, kl.Flatten):
        # Together the units see what a window over the whole map does.
        layout = _Windows(axes=(Window(shape[0]), Window(shape[1])))
    ends = [
        FeatureMap(window, *(pair[axis] for pair in known))
        for axis, window in enumerate(layout.axes)
    ]
    extents = (ends[0].receptive_field.size, ends[1].receptive_field.size)
    return _Seen(None if isinstance(layer, kl.Flatten) else (ends[0], ends[1]), extents)


def _anatomy(layer: kl.Layer, inputs: Shape, outputs: Shape) -> tuple[_Windows, Cost]:
    """The windows of a layer on `inputs`, `(height, width, channels)` or `(units,)`, and its cost.

    Raises:
        ValueError: the class is not known.
    """
    units, bias = math.prod(outputs), getattr(layer, "use_bias", False)
    match layer:
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
            likely = map(windows.likely, outputs[:2], inputs[:2])
            return _replicating(inputs, outputs, _pair(axis.stride for axis in likely)), Cost()
        case AverageUnpool2D():
            return _replicating(inputs, outputs, layer.pool_size), Cost()
        case kl.ZeroPadding2D():
            return _Windows(axes=_two(Window(lead=before) for before, _ in layer.padding)), Cost()
        case kl.Cropping2D():
            return _Windows(axes=_two(Window(lead=-before) for before, _ in layer.cropping)), Cost()
        case kl.Dense():
            return _Windows(), costs.dense_cost(inputs[-1], outputs[-1], bias)
        case EuclideanRbf():
            return _Windows(), costs.rbf_cost(inputs[-1], outputs[-1])
        case kl.BatchNormalization():
            return _Windows(), Cost(2 * outputs[-1], 2 * units, units)
    if not isinstance(layer, _FREE):
        raise ValueError(
            f"expected layers that the table knows; received {type(layer).__name__} {layer.name!r}"
        )
    return _Windows(), Cost()


def _sliding(
    inputs: Shape, kernel: Pair, stride: Pair, padding: str, dilation: Pair = (1, 1)
) -> _Windows:
    """The windows of a convolution or a pooling."""
    axes = (
        Window((k - 1) * d + 1, s, sizes.conv_padding(n, k, s, padding, d)[0])
        for n, k, s, d in zip(inputs[:2], kernel, stride, dilation, strict=True)
    )
    return _Windows(_pair(kernel), _pair(stride), padding, _two(axes))


def _stamping(layer: kl.Layer, inputs: Shape, outputs: Shape, dilation: Pair = (1, 1)) -> _Windows:
    """The windows of a transposed convolution."""
    axes = []
    for axis in (0, 1):
        k, s, d = layer.kernel_size[axis], layer.strides[axis], dilation[axis]
        crop = sizes.conv_transpose_crop(inputs[axis], k, s, layer.padding, outputs[axis], d)
        axes.append(Window((k - 1) * d + 1, s, crop, transposed=True))
    return _Windows(_pair(layer.kernel_size), _pair(layer.strides), layer.padding, _two(axes))


def _replicating(inputs: Shape, outputs: Shape, side: Pair) -> _Windows:
    """The windows of an unpooling."""
    axes = (
        Window(s, s, max(n * s - size, 0) // 2, transposed=True)
        for n, size, s in zip(inputs[:2], outputs[:2], side, strict=True)
    )
    return _Windows(_pair(side), _pair(side), None, _two(axes))


def _pair(values: Iterable[int]) -> Pair:
    first, second = values
    return first, second


def _two(windows_: Iterable[Window]) -> tuple[Window, Window]:
    first, second = windows_
    return first, second


def _hwc(shape: Shape) -> tuple[int, int, int]:
    height, width, channels = shape
    return height, width, channels
