"""What a layer's maps look like: the kernels of the first one, the activations of any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.figures.canvas import BODY, GAP, LINE, Picture, canvas, heading, page, text
from src.figures.colours import MUTED, RULE
from src.figures.projections import fitted, paragraph, signed, square, unsigned

Floats = NDArray[np.floating]

_CELL, _LEFT, _WIDTH = 88, 96, 800
_SQUARE = 344
_KERNELS = (
    "Grey is zero; each kernel has its own scale, on which its largest number is white or black."
)
_SCALES = (
    "Each map has one scale for all pictures. Of a map that is nowhere negative black is zero, of "
    "others grey is."
)


def kernels(title: str, groups: Mapping[str, Sequence[Floats]]) -> Picture:
    """The kernels that look at the picture, a square of them for each group.

    Args:
        title: the layer.
        groups: by name, kernels `[height, width, 1 or 3]`, all of one shape.
    """
    squares = {
        name: square([signed(each) for each in some], _SQUARE) for name, some in groups.items()
    }
    wide, high = next(iter(squares.values())).size
    block, draw = canvas(len(squares) * (wide + 2 * GAP) - 2 * GAP, high + LINE)
    for number, (name, drawn) in enumerate(squares.items()):
        x = number * (wide + 2 * GAP)
        text(draw, (x, 0), name, colour=MUTED)
        block.paste(drawn, (x, LINE))
    size = next(iter(groups.values()))[0].shape
    count = len(next(iter(groups.values())))
    note = f"{count} kernels of {size[0]}x{size[1]}"
    return page([heading(title, note), block, paragraph(_KERNELS, block.width)])


def activations(
    title: str, pictures: Sequence[Floats], maps: Mapping[str, Sequence[Floats]]
) -> Picture:
    """Pictures side by side, and below each what some maps make of it.

    Args:
        title: the layer.
        pictures: floats in [0, 1], `[height, width, 1 or 3]`.
        maps: by label, one `[rows, columns]` a picture, of any size: they are brought to the
            picture's.
    """
    cell = _CELL if len(pictures) > 3 else 2 * _CELL if len(pictures) == 1 else 3 * _CELL // 2
    cells = [fitted(unsigned(picture), cell) for picture in pictures]
    rows = {"picture": cells}
    for label, some in maps.items():
        images = zip(_levels(some), cells, strict=True)
        rows[label] = [image.resize(cell.size, _way(image, cell)) for image, cell in images]
    # With few pictures there is room for several maps side by side.
    pitch = max(image.width for image in cells) + 2 + GAP
    wide = _LEFT + len(cells) * pitch
    high = max(max(image.height for image in cells) + 2 + GAP, 2 * LINE)
    columns = min(len(rows), max(1, _WIDTH // wide))
    each = -(-len(rows) // columns)
    block, draw = canvas(columns * wide, each * high)
    for number, (label, row) in enumerate(rows.items()):
        left, top = number // each * wide, number % each * high
        for line, content in enumerate(label.split("\n")):
            text(draw, (left, top + line * LINE), content, BODY - 1, MUTED)
        for column, image in enumerate(row):
            x = left + _LEFT + column * pitch
            draw.rectangle((x, top, x + image.width + 1, top + image.height + 1), outline=RULE)
            block.paste(image, (x + 1, top + 1))
    return page([heading(title, "activations"), block, paragraph(_SCALES, max(block.width, 300))])


def _levels(maps: Sequence[Floats]) -> list[Image.Image]:
    """The maps of a row on one scale."""
    finite = [np.where(np.isfinite(each), each, 0) for each in maps]
    most = max(float(np.abs(each).max(initial=0)) for each in finite) or 1
    negative = min(float(each.min(initial=0)) for each in finite) < 0
    zero, span = (128, 127) if negative else (0, 255)
    return [Image.fromarray(np.rint(zero + span * each / most).astype(np.uint8)) for each in finite]


def _way(image: Image.Image, cell: Image.Image) -> Image.Resampling:
    larger = image.width > cell.width or image.height > cell.height
    return Image.Resampling.BOX if larger else Image.Resampling.NEAREST
