"""Paper, type and layout: blocks are drawn one by one and stacked to a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from math import ceil, log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from src.figures.colours import INK, MUTED, PAPER, RULE, Colour

Picture = NDArray[np.uint8]

MARGIN, GAP, BODY, TITLE, LINE, KEY = 16, 8, 13, 16, 18, 12
MIN_WIDTH, MAX_WIDTH, MAX_NAME = 320, 720, 180
# Height of a page over its width.
MAX_RATIO = 2.5
# With more entries a legend takes the whole width; with more examples each has at most so many
# pixels.
_MANY, _SMALL = 24, 100


class Key(NamedTuple):
    """One entry of a legend; one that is not shown keeps its place."""

    label: str
    swatch: Picture
    shown: bool = True


def swatch(colour: Colour) -> Picture:
    """A square of one colour for a legend, `[KEY, KEY, 3]`."""
    return np.full((KEY, KEY, 3), colour, np.uint8)


def page(blocks: Sequence[Image.Image], keys: Sequence[Key] = ()) -> Picture:
    """Stack blocks on paper, the legend last, all of them flush left."""
    width = max(MIN_WIDTH - 2 * MARGIN, *(block.width for block in blocks))
    if len(keys) > _MANY:
        width = max(width, MAX_WIDTH)
    stack = [*blocks, _legend(keys, width)] if keys else list(blocks)
    space = 2 * GAP
    height = sum(block.height for block in stack) + space * (len(stack) - 1)
    sheet, _ = canvas(width + 2 * MARGIN, height + 2 * MARGIN)
    y = MARGIN
    for block in stack:
        sheet.paste(block, (MARGIN, y))
        y += block.height + space
    return np.asarray(sheet)


def bands(
    rows: dict[str, list[Picture]], captions: list[list[str]], note: str = "", least: int = 48
) -> list[Image.Image]:
    """Columns of equal pictures under one another, wrapped into bands of at most `MAX_WIDTH`.

    Where there are so many that the page would be a strip, the bands become wider than that.

    Args:
        rows: for each row its label and its n pictures, all `[height, width, 3]`.
        captions: n times the lines of text below a column, equally many for each.
        note: what the captions say, set where the row labels stand.
        least: least width of a column in pixels, for the captions' sake.

    Returns:
        One block a band.
    """
    n = len(captions)
    first = _fit(next(iter(rows.values()))[0], n)
    pitch = max(first.width + 2, least) + GAP
    step = _step(first.height)
    high = len(rows) * step + LINE * len(captions[0]) + 2 * GAP
    columns = _columns(n, pitch, high)
    result = []
    for start in range(0, n, columns):
        part = slice(start, start + columns)
        shown = {label: [_fit(picture, n) for picture in rows[label][part]] for label in rows}
        result.append(_band(shown, captions[part], note, pitch, columns))
    return result


def zoom(height: int, width: int) -> float:
    """How many times pixels are enlarged: a whole number, or 1 over one for large pictures.

    Pictures below 64 px come out near 84 px, where digits can be read, larger ones near 200 px.
    """
    longest = max(height, width)
    ratio = (84 if longest < 64 else 200) / longest
    return float(round(ratio)) if ratio > 0.75 else 1 / round(1 / ratio)


def heading(title: str, note: str = "") -> Image.Image:
    """A title in bold with a note beside it."""
    wide = text_width(title, TITLE, bold=True) + GAP + 4
    block, draw = canvas(ceil(wide + text_width(note)), TITLE + 4)
    text(draw, (0, TITLE), title, TITLE, anchor="ls", bold=True)
    text(draw, (wide, TITLE), note, colour=MUTED, anchor="ls")
    return block


def canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Blank paper and the pen for it; sizes in pixels."""
    image = Image.new("RGB", (width, height), PAPER)
    return image, ImageDraw.Draw(image)


def text(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    content: str,
    size: int = BODY,
    colour: Colour = INK,
    anchor: str = "la",
    bold: bool = False,
) -> None:
    """Write one line; `anchor` is Pillow's (horizontal l, m, r; vertical a, m, s, b)."""
    draw.text(at, content, colour, _font(size, bold), anchor=anchor)


def turned(content: str, size: int = BODY, colour: Colour = INK) -> Image.Image:
    """One line of text that reads from bottom to top."""
    block, draw = canvas(ceil(text_width(content, size)), size + 4)
    text(draw, (0, (size + 4) / 2), content, size, colour, "lm")
    return block.transpose(Image.Transpose.ROTATE_90)


def text_width(content: str, size: int = BODY, bold: bool = False) -> float:
    """Width of one line in pixels."""
    return _font(size, bold).getlength(content)


def shorten(content: str, room: float = MAX_NAME, size: int = BODY) -> str:
    """The text, or as many of its letters and an ellipsis as fit into `room` pixels."""
    if text_width(content, size) <= room:
        return content
    while content and text_width(content + "\N{HORIZONTAL ELLIPSIS}", size) > room:
        content = content[:-1]
    return content.rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _columns(n: int, pitch: int, high: int) -> int:
    """How many columns of a width make the best page of n, in bands of a height."""
    most = max(1, (MAX_WIDTH + GAP) // pitch)
    # Few blank places and few bands: 8 columns of which 7 fit become 4 + 4, not 7 + 1.
    columns = min(range(min(n, most), 0, -1), key=lambda c: -n % c + -(-n // c))

    def ratio(c: int) -> float:
        return -(-n // c) * high / (c * pitch)

    if ratio(columns) <= MAX_RATIO:
        return columns
    return min(range(columns, n + 1), key=lambda c: abs(log(ratio(c))) + (-n % c) / n)


def _band(
    rows: dict[str, list[Image.Image]],
    captions: list[list[str]],
    note: str,
    pitch: int,
    columns: int,
) -> Image.Image:
    wide, high = next(iter(rows.values()))[0].size
    left = ceil(max(text_width(label) for label in (*rows, note)))
    left += GAP + 4 if left else 0
    step, lines = _step(high), len(captions[0])
    block, draw = canvas(left + columns * pitch - GAP, len(rows) * step + LINE * lines)
    for top, (label, pictures) in zip(range(0, step * len(rows), step), rows.items(), strict=True):
        # Its ascenders may not reach above the block.
        text(draw, (0, max(top + high / 2, top + LINE / 2)), label, colour=MUTED, anchor="lm")
        for i, picture in enumerate(pictures):
            x = left + i * pitch + (pitch - GAP - wide - 2) // 2
            draw.rectangle((x, top, x + wide + 1, top + high + 1), outline=RULE)
            block.paste(picture, (x + 1, top + 1))
    first = len(rows) * step + LINE / 2
    text(draw, (0, first), note, colour=MUTED, anchor="lm")
    for i, caption in enumerate(captions):
        for j, line in enumerate(caption):
            middle = left + i * pitch + (pitch - GAP) / 2
            text(draw, (middle, first + j * LINE), line, anchor="mm")
    return block


def _step(high: int) -> int:
    """From one row of pictures of a height to the next, with room for a label."""
    return max(high + 2 + GAP, LINE)


def _fit(picture: NDArray[Any], n: int) -> Image.Image:
    """A picture in its size among n."""
    image = Image.fromarray(picture)
    factor, longest = zoom(*picture.shape[:2]), max(picture.shape[:2])
    if n > _MANY and longest * factor > _SMALL:
        factor = 1 / ceil(longest / _SMALL)
    if factor < 1:
        return image.reduce(round(1 / factor))
    size = (int(image.width * factor), int(image.height * factor))
    return image.resize(size, Image.Resampling.NEAREST)


def _legend(keys: Sequence[Key], width: int) -> Image.Image:
    """The keys in columns as wide as the widest of them, row by row."""
    widest = max(key.swatch.shape[1] + GAP + text_width(key.label) for key in keys)
    pitch = ceil(widest) + 2 * GAP
    columns = max(1, min(len(keys), (width + 2 * GAP) // pitch))
    line = KEY + 10
    block, draw = canvas(max(width, pitch), line * -(-len(keys) // columns))
    for i, key in enumerate(keys):
        if not key.shown:
            continue
        high, wide = key.swatch.shape[:2]
        x, y = i % columns * pitch, i // columns * line + (line - high) // 2
        draw.rectangle((x, y - 1, x + wide + 1, y + high), RULE)
        block.paste(Image.fromarray(key.swatch), (x + 1, y))
        text(draw, (x + wide + GAP, y + high / 2), key.label, anchor="lm")
    return block


@lru_cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has the arrows, the minus sign and any Latin, Greek or Cyrillic letter.

    Matplotlib's installation holds it; to find it does not import Matplotlib. Pillow's own font
    has little more than ASCII. The basic layout engine draws alike with and without libraqm.
    """
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("expected matplotlib, whose font the figures use; found none")
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(folder / name, size, layout_engine=ImageFont.Layout.BASIC)
