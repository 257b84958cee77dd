"""Projects single activations of a layer to the pixels, many at a time.

Of a network that takes pictures of any size, an activation is computed and projected in the part of
its picture that it depends on, not in the whole: the numbers are those of the whole picture, beyond
the part they are zero. Twenty parts of VGG16's third block have the pixels of one picture.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from src.activations import Pictures, output, signature
from src.arithmetic.receptive_field import FeatureMap
from src.config import Method
from src.models.deconvnet import deconvnet

# The maps of a walk over so many pixels at once take some hundred megabytes in VGG16.
_PIXELS = 2**17

Floats = NDArray[np.floating]
# What a layer's elements see of the rows and of the columns.
Fields = tuple[FeatureMap, FeatureMap]
Ranges = tuple[range, range]


class Unit(NamedTuple):
    """One activation.

    Attributes:
        map: number of its map.
        picture: number of the picture that caused it.
        place: its row and its column.
    """

    map: int
    picture: int
    place: NDArray[np.integer]


class Cell(NamedTuple):
    """What a unit sees; what lies outside the picture is NaN.

    Attributes:
        patch: the pixels, `[height, width, channels]`.
        projections: of the unit to these pixels, by method, of that shape.
    """

    patch: Floats
    projections: dict[Method, Floats]


class _Part(NamedTuple):
    """A part of a picture to walk through: the unit, its place in the part's map, and its span."""

    number: int
    pixels: Floats
    seed: tuple[int, int, int]
    span: Ranges


def project(
    model: keras.Model,
    layer: str,
    pictures: Pictures,
    units: Sequence[Unit],
    fields: Callable[[tuple[int, ...]], Fields | None],
    methods: Sequence[Method],
) -> list[Cell]:
    """Projects a layer's activations to the pixels that they see.

    Each picture is read once, and no more of them kept than what is walked through at once.

    Args:
        model: the network.
        layer: name of the layer.
        pictures: that the units are found in.
        units: in any order.
        fields: what the layer's elements see of a picture of a shape; None for all of it.
        methods: what a rectifier does on the way down.

    Returns:
        One for each unit, in their order.
    """
    walks = {method: _walk(model, layer, method) for method in methods}
    cells: dict[int, Cell] = {}
    for parts in _batches(_parts(pictures, units, fields, None in model.input_shape[1:3])):
        pixels, seeds = np.stack([part.pixels for part in parts]), [part.seed for part in parts]
        found = {method: walk(pixels, np.array(seeds)).numpy() for method, walk in walks.items()}
        for at, part in enumerate(parts):
            projections = {method: _cut(found[method][at], part.span) for method in methods}
            cells[part.number] = Cell(_cut(part.pixels, part.span), projections)
    return [cells[number] for number in range(len(units))]


def equal_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Cells of one size, that of the largest; the smaller ones have NaN below and to the right."""
    high, wide = (max(cell.patch.shape[axis] for cell in cells) for axis in (0, 1))
    return [
        Cell(
            _cut(cell.patch, (range(high), range(wide))),
            {m: _cut(each, (range(high), range(wide))) for m, each in cell.projections.items()},
        )
        for cell in cells
    ]


def _parts(
    pictures: Pictures,
    units: Sequence[Unit],
    fields: Callable[[tuple[int, ...]], Fields | None],
    any_size: bool,
) -> Iterator[_Part]:
    """What to walk through, in the order of the pictures."""
    of_picture: dict[int, list[int]] = defaultdict(list)
    for number, unit in enumerate(units):
        of_picture[unit.picture].append(number)
    for picture, pixels in pictures.some(of_picture):
        seen = fields(pixels.shape)
        for number in of_picture[picture]:
            unit = units[number]
            row, column = unit.place.tolist()
            if seen is None:
                span = range(pixels.shape[0]), range(pixels.shape[1])
                yield _Part(number, pixels, (row, column, unit.map), span)
                continue
            rows, row, down = _along(seen[0], row, pixels.shape[0], any_size)
            columns, column, across = _along(seen[1], column, pixels.shape[1], any_size)
            part = pixels[rows.start : rows.stop, columns.start : columns.stop]
            yield _Part(number, part, (row, column, unit.map), (down, across))


def _along(field: FeatureMap, element: int, size: int, any_size: bool) -> tuple[range, int, range]:
    """Along one axis of a picture: the part, the element in its map, and the span in the part."""
    part = field.crop(element, size) if any_size else range(size)
    extent = field.receptive_field.size
    # They may reach beyond the picture.
    first = field.sees(element, element)[0] - part.start
    span = range(first, first + extent) if extent < size else range(size)
    return part, element - int(part.start / field.jump), span


def _batches(parts: Iterator[_Part]) -> Iterator[list[_Part]]:
    """Parts of one shape, as many as are walked through at once."""
    waiting: dict[tuple[int, ...], list[_Part]] = defaultdict(list)
    for part in parts:
        alike = waiting[part.pixels.shape]
        alike.append(part)
        if (len(alike) + 1) * part.pixels[..., 0].size > _PIXELS:
            yield waiting.pop(part.pixels.shape)
    yield from waiting.values()


@functools.lru_cache(64)
def _walk(model: keras.Model, layer: str, method: Method) -> Callable[..., tf.Tensor]:
    """What projects one activation of each picture, by its place and map, to the pixels."""
    upwards = keras.Model(model.inputs, output(model, layer))
    downwards = deconvnet(model, layer, method)

    @tf.function(input_signature=[signature(model), tf.TensorSpec((None, 3), tf.int64)])
    def walk(pictures: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(upwards(pictures, training=False), tf.int64)
        batch = tf.range(shape[0])[:, None]
        # A unit of a dense layer has no place.
        places = seeds if shape.shape[0] == 4 else seeds[:, 2:]
        where = tf.concat([batch, places], axis=1)
        seed = tf.scatter_nd(where, tf.ones(shape[0]), shape)
        return downwards([pictures, seed], training=False)

    return walk.get_concrete_function()


def _cut(picture: Floats, span: Ranges) -> Floats:
    """A part of a picture, NaN where it reaches beyond."""
    part = np.full((len(span[0]), len(span[1]), picture.shape[2]), np.nan, np.float32)
    rows, columns = (
        range(max(0, wanted.start), min(size, wanted.stop))
        for wanted, size in zip(span, picture.shape[:2], strict=True)
    )
    top, left = rows.start - span[0].start, columns.start - span[1].start
    inside = picture[rows.start : rows.stop, columns.start : columns.stop]
    part[top : top + len(rows), left : left + len(columns)] = inside
    return part
