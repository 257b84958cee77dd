"""What excites a network's maps: projections beside the patches of pictures that they show.

Laid out as figure 2 of Zeiler and Fergus, "Visualizing and understanding convolutional networks"
(2014): for each map a square of projections, and a square of patches in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.figures.canvas import (
    BODY,
    GAP,
    LINE,
    Picture,
    canvas,
    heading,
    page,
    text,
    text_width,
)
from src.figures.colours import MUTED, RULE

Floats = NDArray[np.floating]

# Wide enough for two maps of photographs with one method, and three of small patches.
_WIDTH = 944
# What lies outside the picture is neither grey nor white nor black.
_OUTSIDE = (221, 232, 246)
# A square of cells is about as wide as this, in pixels: of small patches, and of photographs'.
_SMALL, _LARGE = 132, 216
_GREY, _APART = 128, 3


class Map(NamedTuple):
    """What excites one map.

    Attributes:
        label: written above it.
        projections: for each method its projections, `[height, width, 1 or 3]`, all of one size.
            Zero is grey; what is not finite lies outside the picture, and is pale blue.
        patches: floats in [0, 1] of that size, as many as each method has projections.
    """

    label: str
    projections: Mapping[str, Sequence[Floats]]
    patches: Sequence[Floats]


class Group(NamedTuple):
    """Maps under a heading.

    Attributes:
        title: the heading.
        note: beside it.
        maps: what is below.
    """

    title: str
    note: str
    maps: Sequence[Map]


def projections(groups: Sequence[Group], notes: Sequence[str]) -> Picture:
    """Each group's maps, as many side by side as fit on a page, and notes below.

    Args:
        groups: at least one; none is empty.
        notes: paragraphs.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not groups or not all(group.maps for group in groups):
        raise ValueError("expected groups with maps; received none")
    blocks = []
    for group in groups:
        drawn = [_map(each) for each in group.maps]
        pitch = max(block.width for block in drawn) + 2 * GAP
        columns = max(1, (_WIDTH + 2 * GAP) // pitch)
        blocks.append(heading(group.title, group.note))
        blocks += [
            _row(drawn[first : first + columns], pitch) for first in range(0, len(drawn), columns)
        ]
    width = max(_WIDTH // 2, *(block.width for block in blocks))
    return page([*blocks, *(paragraph(note, width) for note in notes)])


def signed(projection: Floats) -> Picture:
    """A projection on its own scale: its largest number is white or black, and zero is grey.

    Args:
        projection: `[height, width, 1 or 3]`; what is not finite becomes pale blue.

    Returns:
        uint8 `[height, width, 3]`.
    """
    inside = np.isfinite(projection)
    numbers = np.where(inside, projection, 0)
    most = np.abs(numbers).max(initial=0)
    levels = np.rint(_GREY + 127 * (numbers / most if most else numbers))
    return _rgb(levels, inside)


def unsigned(patch: Floats) -> Picture:
    """Pixels, floats in [0, 1] `[height, width, 1 or 3]`, as uint8 `[height, width, 3]`."""
    inside = np.isfinite(patch)
    return _rgb(np.rint(255 * np.clip(np.where(inside, patch, 0), 0, 1)), inside)


def _rgb(levels: Floats, inside: NDArray[np.bool_]) -> Picture:
    return np.where(inside, levels, _OUTSIDE).astype(np.uint8)


def _map(each: Map) -> Image.Image:
    squares = {
        method: square([signed(projection) for projection in found])
        for method, found in each.projections.items()
    }
    squares["patches"] = square([unsigned(patch) for patch in each.patches])
    wide = next(iter(squares.values())).width
    pitch = max(wide, *(math.ceil(text_width(name)) for name in squares)) + GAP
    block, draw = canvas(pitch * len(squares) - GAP, 2 * LINE + next(iter(squares.values())).height)
    text(draw, (0, 0), each.label)
    for column, (name, image) in enumerate(squares.items()):
        text(draw, (column * pitch, LINE), name, colour=MUTED)
        block.paste(image, (column * pitch, 2 * LINE))
    return block


def square(cells: Sequence[Picture], room: int | None = None) -> Image.Image:
    """Cells in rows, as many rows as columns or one fewer.

    Args:
        cells: pictures of one size.
        room: width in pixels; if None, that of a map on a page.
    """
    columns = math.ceil(math.sqrt(len(cells)))
    rows = math.ceil(len(cells) / columns)
    room = room or (_SMALL if max(cells[0].shape[:2]) < 20 else _LARGE)
    images = [fitted(cell, room / columns) for cell in cells]
    wide, high = images[0].size
    across, down = wide + 2 + _APART, high + 2 + _APART
    block, draw = canvas(columns * across - _APART, rows * down - _APART)
    for number, cell in enumerate(images):
        x, y = number % columns * across, number // columns * down
        draw.rectangle((x, y, x + wide + 1, y + high + 1), outline=RULE)
        block.paste(cell, (x + 1, y + 1))
    return block


def fitted(cell: Picture, room: float) -> Image.Image:
    """A picture, enlarged a whole number of times or reduced until its longer side fits."""
    image, longest = Image.fromarray(cell), max(cell.shape[:2])
    if longest <= room:
        factor = int(room // longest)
        size = (image.width * factor, image.height * factor)
        return image.resize(size, Image.Resampling.NEAREST)
    size = (
        max(1, round(image.width * room / longest)),
        max(1, round(image.height * room / longest)),
    )
    return image.resize(size, Image.Resampling.BOX)


def _row(blocks: Sequence[Image.Image], pitch: int) -> Image.Image:
    row, _ = canvas(len(blocks) * pitch - 2 * GAP, max(block.height for block in blocks))
    for column, block in enumerate(blocks):
        row.paste(block, (column * pitch, 0))
    return row


def paragraph(content: str, width: int) -> Image.Image:
    """Returns a text in lines of at most a width in pixels."""
    lines = [""]
    for word in content.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    block, draw = canvas(width, LINE * len(lines))
    for number, line in enumerate(lines):
        text(draw, (0, number * LINE), line, BODY, MUTED)
    return block
