"""Curves over epochs: panels side by side, one legend below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from src.figures import axes
from src.figures.axes import FINE, HIGH, WIDE, Scale
from src.figures.canvas import (
    BODY,
    GAP,
    KEY,
    MAX_WIDTH,
    TITLE,
    Key,
    Picture,
    canvas,
    heading,
    page,
    shorten,
    text,
)
from src.figures.colours import CONFUSED, MUTED, PALETTE, PAPER, RULE, Colour, class_colours

_LEFT, _BELOW = 60, 40
# A dash and the space behind it, in pixels.
_DASH = (6.0, 4.0)
# Points of a line; of more, the extremes of equal parts are drawn.
_MOST = 1200
# What lies beyond cannot be told from a mistake, and its axis would show nothing else.
_LARGEST = 1e30


class Line(NamedTuple):
    """One curve.

    Attributes:
        label: its name in the legend; lines of one name share an entry.
        x: where its values stand, ascending.
        y: its values; one that is not finite leaves a gap.
        colour: of the line.
        dashed: whether it is.
        spread: how far the band around it reaches up and down, shaped like `y`; None for no band.
    """

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: Colour
    dashed: bool = False
    spread: NDArray[np.float64] | None = None


class Panel(NamedTuple):
    """One pair of axes.

    Attributes:
        title: what is drawn.
        lines: its curves, the most important last.
        note: stands beside the title.
        marked: x and y of the point that is ringed; None for none.
        most: the largest value that there can be, where bands end.
    """

    title: str
    lines: Sequence[Line]
    note: str = ""
    marked: tuple[float, float] | None = None
    most: float = math.inf


def line_colours(lines: int) -> list[Colour]:
    """A colour for each of several lines or points: those of the classes that show on paper."""
    table = class_colours(max(len(PALETTE), 2 * lines + 8))[1:]
    dark = [(int(r), int(g), int(b)) for r, g, b in table if 0.3 * r + 0.6 * g + 0.1 * b < 176]
    return [dark[i % len(dark)] for i in range(lines)]


def curves(panels: Sequence[Panel], x_name: str = "epoch") -> Picture:
    """Panels in pairs with one axis of x, and the legend of all their lines.

    The axis of y is logarithmic where the largest value is ten times the smallest or more.

    Args:
        panels: one or more.
        x_name: what x counts.

    Raises:
        ValueError: there is no panel, or a line's arrays differ in length.
    """
    if not panels:
        raise ValueError("expected one panel or more; received panels=()")
    lines = [line for panel in panels for line in panel.lines]
    for line in lines:
        lengths = {len(line.x), len(line.y), len(line.y if line.spread is None else line.spread)}
        if len(lengths) > 1:
            raise ValueError(f"expected as many x as y in a line; received {lengths} in {line[0]}")
    panels = [panel._replace(lines=[_thinned(line) for line in panel.lines]) for panel in panels]
    span = axes.ends(np.concatenate([line.x for line in lines]) if lines else np.zeros(0))
    drawn = [_panel(panel, span, x_name) for panel in panels]
    columns = max(1, min(len(drawn), MAX_WIDTH // drawn[0].width))
    blocks = [_beside(drawn[i : i + columns]) for i in range(0, len(drawn), columns)]
    named = {line.label: line for line in lines}
    keys = [Key(shorten(name, 2 * WIDE), _sample(line)) for name, line in named.items()]
    if any(panel.marked for panel in panels):
        keys.append(Key("best", _ring()))
    return page(blocks, keys)


def _panel(panel: Panel, ends: tuple[float, float], x_name: str) -> Image.Image:
    top = TITLE + 2 * GAP
    block, draw = canvas(_LEFT + WIDE + 2 * GAP, top + HIGH + _BELOW)
    title = heading(shorten(panel.title, _LEFT + WIDE - 8, TITLE), panel.note)
    block.paste(title.crop((0, 0, min(title.width, block.width), title.height)), (0, 0))
    values = np.concatenate([_reach(line, panel.most) for line in panel.lines] or [np.zeros(0)])
    scale = Scale(values, ends)
    for tick in scale.y_ticks:
        y = top + scale.y(tick)
        text(draw, (_LEFT - GAP, y), scale.label(tick), BODY - 1, MUTED, "rm")
    for tick in scale.x_ticks:
        text(draw, (_LEFT + scale.x(tick), top + HIGH + 5), f"{tick:g}", BODY - 1, MUTED, "ma")
    text(draw, (_LEFT + WIDE / 2, top + HIGH + 21), x_name, BODY - 1, MUTED, "ma")
    block.paste(_plot(panel, scale), (_LEFT, top))
    return block


def _plot(panel: Panel, scale: Scale) -> Image.Image:
    image = Image.new("RGB", (WIDE * FINE, HIGH * FINE), PAPER)
    draw = ImageDraw.Draw(image, "RGBA")
    for tick in scale.y_ticks:
        y = scale.y(tick) * FINE
        draw.line((0, y, image.width, y), RULE, FINE)
    draw.line((0, 0, 0, image.height), RULE, 2 * FINE)
    draw.line((0, image.height, image.width, image.height), RULE, 2 * FINE)
    for line in panel.lines:
        _band(draw, line, scale, panel.most)
    for line in panel.lines:
        _curve(draw, line, scale)
    if panel.marked is not None:
        (point,) = scale.points(np.array([panel.marked[0]]), np.array([panel.marked[1]]))
        draw.line((point[0], 0, point[0], image.height), (*CONFUSED, 110), FINE)
        _circle(draw, point, 5 * FINE, outline=CONFUSED, width=2 * FINE)
    return image.reduce(FINE)


def _band(draw: ImageDraw.ImageDraw, line: Line, scale: Scale, most: float) -> None:
    if line.spread is None:
        return
    for part in _whole(line):
        x, y, spread = line.x[part], line.y[part], line.spread[part]
        lower = y - spread
        if scale.log:
            lower = np.maximum(lower, 10**scale.low)
        outline = scale.points(x, np.minimum(y + spread, most)) + scale.points(x, lower)[::-1]
        if len(x) > 1:
            draw.polygon(outline, (*line.colour, 50))


def _curve(draw: ImageDraw.ImageDraw, line: Line, scale: Scale) -> None:
    for part in _whole(line):
        points = scale.points(line.x[part], line.y[part])
        for stroke in _dashes(points) if line.dashed else [points]:
            draw.line(stroke, line.colour, 2 * FINE, joint="curve")
        # A few points are drawn as dots; a line of one would not be seen.
        if len(line.x) <= 30 or len(points) == 1:
            for point in points:
                _circle(draw, point, 2 * FINE, fill=line.colour)


def _dashes(points: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """A polygon's strokes, where it is dashed."""
    path = np.array(points)
    along = np.concatenate([[0.0], np.hypot(*np.diff(path, axis=0).T).cumsum()])
    dash, pitch = _DASH[0] * FINE, sum(_DASH) * FINE
    strokes = []
    for start in np.arange(0, along[-1], pitch):
        inner = along[(along > start) & (along < start + dash)]
        at = np.concatenate([[start], inner, [min(start + dash, along[-1])]])
        x, y = (np.interp(at, along, path[:, axis]) for axis in (0, 1))
        strokes.append(list(zip(x.tolist(), y.tolist(), strict=True)))
    return strokes


def _circle(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    radius: float,
    fill: Colour | None = None,
    outline: Colour | None = None,
    width: int = 1,
) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline, width)


def _thinned(line: Line) -> Line:
    if len(line.x) <= _MOST:
        return line
    parts = np.array_split(np.arange(len(line.x)), _MOST // 2)
    extremes = [(part[np.argmin(line.y[part])], part[np.argmax(line.y[part])]) for part in parts]
    kept = np.unique(np.concatenate([(0, len(line.x) - 1), np.ravel(extremes)]))
    spread = None if line.spread is None else line.spread[kept]
    return line._replace(x=line.x[kept], y=line.y[kept], spread=spread)


def _whole(line: Line) -> list[slice]:
    """The parts of a line between its gaps."""
    known = np.concatenate([[False], np.isfinite(line.y) & (abs(line.y) < _LARGEST), [False]])
    edges = np.flatnonzero(known[1:] != known[:-1])
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _reach(line: Line, most: float) -> NDArray[np.float64]:
    """All values that an axis must hold; a band that comes near zero does not widen a logarithm."""
    parts = [line.y[part] for part in _whole(line)]
    if line.spread is not None:
        for part in _whole(line):
            y, spread = line.y[part], line.spread[part]
            parts += [np.minimum(y + spread, most), np.where(y - spread > y / 3, y - spread, y)]
    return np.concatenate(parts or [np.zeros(0)])


def _beside(drawn: Sequence[Image.Image]) -> Image.Image:
    block, _ = canvas(sum(image.width for image in drawn), max(image.height for image in drawn))
    x = 0
    for image in drawn:
        block.paste(image, (x, 0))
        x += image.width
    return block


def _sample(line: Line) -> Picture:
    """A piece of a line for the legend."""
    image = Image.new("RGB", (2 * KEY * FINE, KEY * FINE), PAPER)
    draw = ImageDraw.Draw(image)
    ends = [(0.0, image.height / 2), (float(image.width), image.height / 2)]
    for stroke in _dashes(ends) if line.dashed else [ends]:
        draw.line(stroke, line.colour, 2 * FINE)
    return np.asarray(image.reduce(FINE))


def _ring() -> Picture:
    image = Image.new("RGB", (KEY * FINE, KEY * FINE), PAPER)
    middle = (image.width / 2, image.height / 2)
    _circle(ImageDraw.Draw(image), middle, 5 * FINE, outline=CONFUSED, width=2 * FINE)
    return np.asarray(image.reduce(FINE))
