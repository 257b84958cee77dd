"""A table of a built model: what each layer is, costs and sees.

Costs are for one example and counted as the paper of LeNet-5 counts (`costs`); windows that
overhang the padding count in full. Receptive fields follow every branch (`receptive_field`), and
those of padded layers reach beyond the picture. The positions of an unpooling are seen as well as
its values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers as kl

from src.arithmetic.costs import Cost
from src.arithmetic.receptive_field import FeatureMap, Window
from src.layers import (
    AverageUnpool2D,
    CropLike2D,
    MaxUnpool2D,
)
from src.models.anatomy import Geometry, Shape, Sides, anatomy

# Each output sees the whole of the maps.
_GLOBAL = (kl.GlobalAveragePooling2D, kl.GlobalMaxPooling2D, kl.Flatten)
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
        receptive_field: height and width in input pixels of what an output sees; None after a layer
            that the table does not know.
        jump: distance in input pixels between neighbouring outputs, vertical and horizontal; None
            once a dense layer has mixed all places.
    """

    name: str
    type: str
    output_shape: Shape
    kernel: Sides | None
    stride: Sides | None
    padding: str | None
    parameters: int
    trainable: int
    connections: int
    multiply_adds: int
    receptive_field: Sides | None
    jump: tuple[float, float] | None


@dataclass(frozen=True)
class _Seen:
    """What a tensor sees: maps along either axis while it has places, else a size."""

    maps: tuple[FeatureMap, FeatureMap] | None
    size: Sides | None


_UNKNOWN = _Seen(None, None)


def rows(model: keras.Model) -> list[Row]:
    """Returns the rows of a functional model in which no layer is used twice.

    Raises:
        ValueError: the sizes of the model are not all known.
    """
    table = []
    for layer, output_shape, layout, cost, sight in _walk(model):
        trainable = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        jump = sight.maps and (float(sight.maps[0].jump), float(sight.maps[1].jump))
        table.append(
            Row(
                *(layer.name, type(layer).__name__, output_shape),
                *((layout.kernel, layout.stride, layout.padding) if layout else (None, None, None)),
                *(layer.count_params(), trainable),
                *(cost.connections, cost.multiply_adds),
                *(sight.size, jump),
            )
        )
    return table


def maps(model: keras.Model) -> dict[str, tuple[FeatureMap, FeatureMap] | None]:
    """What the outputs of each layer see along either axis; None once all places are mixed.

    Raises:
        ValueError: as for `rows`.
    """
    return {layer.name: sight.maps for layer, _, _, _, sight in _walk(model)}


def _walk(model: keras.Model) -> Iterator[tuple[kl.Layer, Shape, Geometry | None, Cost, _Seen]]:
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
        layout, cost = anatomy(layer, *shapes)
        # What an operation that is no layer has made is not in the table.
        sources = [seen.get(id(tensor), _UNKNOWN) for tensor in looked_at]
        sight = _look(layer, layout, shapes[0], sources)
        seen |= {id(tensor): sight for tensor in outputs}
        yield layer, shapes[1], layout, cost, sight


def _tensors(nested: Any) -> list[keras.KerasTensor]:
    return keras.tree.flatten(nested)


def _look(layer: kl.Layer, layout: Geometry | None, shape: Shape, sources: list[_Seen]) -> _Seen:
    """What the outputs of a layer see, given what its inputs see."""
    sizes = [source.size for source in sources if source.size]
    if layout is None or len(sizes) < len(sources):
        return _UNKNOWN
    largest = (max(size[0] for size in sizes), max(size[1] for size in sizes))
    maps = [source.maps for source in sources if source.maps]
    if len(maps) < len(sources) or isinstance(layer, kl.Reshape):
        return _Seen(None, largest)
    if isinstance(layer, _GLOBAL):
        # Together the units see what a window over the whole map does.
        layout = Geometry(axes=(Window(shape[0]), Window(shape[1])))
    if any(one[axis].jump != maps[0][axis].jump for one in maps for axis in (0, 1)):
        # Merged with what was spread over all places, as a squeeze and excitation does.
        return _UNKNOWN
    ends = [
        FeatureMap(window, *(each[axis] for each in maps))
        for axis, window in enumerate(layout.axes)
    ]
    extents = (ends[0].receptive_field.size, ends[1].receptive_field.size)
    return _Seen(None if isinstance(layer, _GLOBAL) else (ends[0], ends[1]), extents)
