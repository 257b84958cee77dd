"""The space of a code: pictures in a grid of rows and columns, and points in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from src.figures import checks
from src.figures.canvas import (
    BODY,
    GAP,
    LINE,
    MAX_WIDTH,
    Key,
    Picture,
    canvas,
    heading,
    page,
    shorten,
    swatch,
    text,
    text_width,
)
from src.figures.colours import INK, MUTED, NOT_FINITE, PAPER, RULE, Colour
from src.figures.curves import line_colours

_FINE = 4
_PLANE = 560
_SPACE = 2
_SHORT = 30
# Of a grid: pictures that are wider than high have room below each other.
_HIGHEST = 1600


def grid(
    pictures: ArrayLike,
    title: str,
    note: str = "",
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> Picture:
    """Equal pictures in rows and columns, each as large as the page allows.

    Args:
        pictures: floats in [0, 1], `[rows, columns, height, width, channels]`, 1 or 3 channels;
            what is not finite is magenta.
        title: what is shown.
        note: stands beside the title.
        rows: a label for each row, or none.
        columns: a label for each column, or none.

    Raises:
        ValueError: if the pictures are no such array, or the labels are not as many.
    """
    array = np.asarray(pictures)
    if array.ndim != 5 or min(array.shape[:2]) < 1:
        raise ValueError(f"expected (rows, columns, *picture); received {array.shape}")
    down, across = array.shape[:2]
    for labels, count in ((rows, down), (columns, across)):
        if labels and len(labels) != count:
            raise ValueError(f"expected {count} labels; received {len(labels)}: {list(labels)}")
    flat = checks.images("pictures", array.reshape(-1, *array.shape[2:]))
    room = ceil(max((text_width(label, BODY - 1) for label in rows), default=0))
    left, top = room + GAP if rows else 0, LINE if any(columns) else 0
    tiles = _tiles(flat, (MAX_WIDTH - left) // across - _SPACE, _HIGHEST // down - _SPACE)
    wide, high = tiles[0].width + _SPACE, tiles[0].height + _SPACE
    block, draw = canvas(left + across * wide, top + down * high)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, across)
        block.paste(tile, (left + column * wide, top + row * high))
    for row, label in enumerate(rows):
        middle = top + row * high + (high - _SPACE) / 2
        text(draw, (room, middle), label, BODY - 1, MUTED, "rm")
    every = ceil(max((text_width(label, BODY - 1) for label in columns), default=1) / wide)
    for column, label in enumerate(columns):
        if (column - across // 2) % every == 0:
            at = (left + column * wide + (wide - _SPACE) / 2, 0)
            text(draw, at, label, BODY - 1, MUTED, "ma")
    return page([heading(title, note), block])


def plane(
    points: ArrayLike,
    labels: ArrayLike | None,
    classes: Sequence[str],
    title: str,
    note: str = "",
    axes: tuple[str, str] = ("", ""),
) -> Picture:
    """Points in the plane, in the colour of their class, whose name stands at their median.

    In the place of long names, which would cover the points, stand the numbers of the legend. Both
    axes have one scale, so that distances are what they look like.

    Args:
        points: floats `[n, 2]`; those that are not finite are left out.
        labels: integers `[n]`, each of a class; None for points without.
        classes: a name for each label.
        title: what is shown.
        note: stands beside the title.
        axes: names of both.

    Raises:
        ValueError: if there are not as many labels as points, or a label is of no class.
    """
    array, names = np.asarray(points, np.float64), checks.names(classes)
    at = checks.floats("points", array, (len(array), 2))
    known = np.isfinite(at).all(axis=1)
    of = np.zeros(len(at), np.intp)
    if labels is not None:
        of = checks.labels("labels", labels, (len(at),), len(names))
    colours = line_colours(len(names)) if labels is not None else [INK]
    short = max(text_width(name, BODY, bold=True) for name in names) <= _SHORT
    marks = names if short else [str(i) for i in range(len(names))]
    block, draw = canvas(_PLANE + LINE, _PLANE + LINE)
    if known.any():
        block.paste(_scatter(at[known], of[known], colours), (LINE, 0))
    if labels is not None and known.any():
        _name_classes(draw, at[known], of[known], marks)
    draw.rectangle((LINE, 0, _PLANE + LINE - 1, _PLANE - 1), outline=RULE)
    text(draw, (LINE + _PLANE / 2, _PLANE + 4), axes[0], BODY - 1, MUTED, "ma")
    side, pen = canvas(ceil(text_width(axes[1], BODY - 1)) + 1, BODY + 3)
    text(pen, (0, 0), axes[1], BODY - 1, MUTED)
    side = side.transpose(Image.Transpose.ROTATE_90)
    block.paste(side, (0, max(0, (_PLANE - side.height) // 2)))
    entries = names if short else [f"{i} {name}" for i, name in enumerate(names)]
    keys = [Key(shorten(n), swatch(c)) for n, c in zip(entries, colours, strict=False)]
    return page([heading(title, note), block], keys if labels is not None else ())


def _tiles(flat: NDArray[np.floating], width: int, height: int) -> list[Image.Image]:
    """Pictures enlarged a whole number of times, or reduced, to fit a width and a height."""
    finite = np.isfinite(flat)
    levels = np.rint(255 * np.clip(np.where(finite, flat, 0), 0, 1)).astype(np.uint8)
    pixels = np.broadcast_to(levels, (*levels.shape[:3], 3)).copy()
    pixels[~finite.all(axis=-1)] = NOT_FINITE
    own_height, own_width = pixels.shape[1:3]
    times = min(max(width, 1) // own_width, max(height, 1) // own_height)
    if times >= 1:
        return [Image.fromarray(p.repeat(times, 0).repeat(times, 1)) for p in pixels]
    shrink = max(ceil(own_width / max(width, 1)), ceil(own_height / max(height, 1)))
    return [Image.fromarray(picture).reduce(shrink) for picture in pixels]


def _to_pixels(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points to pixels of the plane, y upwards."""
    low, high = at.min(axis=0), at.max(axis=0)
    span = float((high - low).max()) * 1.06 or 1.0
    return ((at - (low + high) / 2) * (1, -1) / span + 0.5) * _PLANE


def _scatter(
    at: NDArray[np.float64], of: NDArray[np.intp], colours: Sequence[Colour]
) -> Image.Image:
    image = Image.new("RGB", (_PLANE * _FINE, _PLANE * _FINE), PAPER)
    draw = ImageDraw.Draw(image, "RGBA")
    # Many points are small ones.
    radius = _FINE * (4 if len(at) < 300 else 3 if len(at) < 2000 else 2)
    # In the order given, which is by no class: none lies on top of all others.
    for (x, y), label in zip(_to_pixels(at) * _FINE, of, strict=True):
        ends = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(ends, (*colours[label], 200))
    return image.reduce(_FINE)


def _name_classes(
    draw: ImageDraw.ImageDraw, at: NDArray[np.float64], of: NDArray[np.intp], names: list[str]
) -> None:
    pixels = _to_pixels(at)
    for label in np.unique(of):
        x, y = np.median(pixels[of == label], axis=0)
        wide = text_width(names[label], BODY, bold=True) / 2 + 3
        draw.rectangle((LINE + x - wide, y - 9, LINE + x + wide, y + 8), PAPER, RULE)
        text(draw, (LINE + x, y), names[label], anchor="mm", bold=True)
