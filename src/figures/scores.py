"""Scores of classes: the confusion matrix and bars."""

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
    KEY,
    MAX_WIDTH,
    Key,
    Picture,
    canvas,
    heading,
    page,
    shorten,
    text,
    text_width,
    turned,
)
from src.figures.colours import CONFUSED, FAINT, INK, MUTED, PAPER, RIGHT, RULE, Colour


def confusion_matrix(matrix: ArrayLike, classes: Sequence[str], shares: bool = False) -> Picture:
    """Counts of truth (rows) against prediction (columns), coloured by their share of the row.

    The colour follows the square root of the share: linearly, ten mistakes in a thousand could
    not be told from none. Right and wrong have hues of their own.

    Args:
        matrix: counts `[classes, classes]`, integers or whole floats, none negative.
        classes: a name for each row and column.
        shares: the counts are of pixels: write per cent of the row, and the mean IoU above, as most
            pixels may be of one class.

    Raises:
        ValueError: if the matrix does not hold counts or does not fit the names.
    """
    names = checks.names(classes)
    counts = checks.counts("matrix", matrix, (len(names), len(names)))
    title = _title(counts, shares)
    keys = []
    for label, hue in (("right, % of row", RIGHT), ("wrong, % of row", CONFUSED)):
        bar = [[_shade(hue, share) for share in np.linspace(0, 1, 6 * KEY)]]
        keys.append(Key(label, np.array(bar * KEY, np.uint8)))
    entries = _percentages(counts) if shares else [[_count(n) for n in row] for row in counts]
    return page([title, _matrix(counts, entries, names)], keys)


def _title(counts: NDArray[np.float64], pixels: bool) -> Image.Image:
    total, hits = float(counts.sum()), np.diagonal(counts)
    if not total:
        return heading("No pixels that count" if pixels else "No examples")
    if pixels:
        union = counts.sum(axis=0) + counts.sum(axis=1) - hits
        iou = np.mean(hits[union > 0] / union[union > 0])
        return heading(f"Mean IoU {iou:.3f}", f"{_total(total)} pixels")
    right = float(hits.sum())
    return heading(f"Accuracy {right / total:.2%}", f"{_total(right)} of {_total(total)}")


def class_bars(
    values: ArrayLike, classes: Sequence[str], title: str = "Intersection over union"
) -> Picture:
    """A bar from 0 to 1 for each class; the mean is over the classes that are present.

    Args:
        values: floats in [0, 1], `[classes]`; NaN marks a class that is absent.
        classes: a name for each value.
        title: what the values measure.

    Raises:
        ValueError: if values and names differ in number, or a value lies outside [0, 1].
    """
    names = checks.names(classes)
    numbers = checks.floats("values", values, (len(names),))
    present = ~np.isnan(numbers)
    if not ((numbers >= 0) & (numbers <= 1) | ~present).all():
        raise ValueError(f"expected values in [0, 1] or NaN; received values={numbers.tolist()}")
    labels = [shorten(name) for name in names]
    left, row, span = ceil(max(map(text_width, labels))) + GAP, 24, 320
    bottom = row * len(names)
    block, draw = canvas(left + span + 52, bottom + BODY + 8)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = left + round(tick * span)
        draw.line((x, 0, x, bottom), RULE)
        text(draw, (x, bottom + 4), f"{tick:g}", BODY - 1, MUTED, "ma")
    for i, (label, number) in enumerate(zip(labels, numbers, strict=True)):
        y = i * row + row // 2
        text(draw, (left - GAP, y), label, anchor="rm")
        if np.isnan(number):
            text(draw, (left + GAP, y), "absent", colour=MUTED, anchor="lm")
        else:
            draw.rectangle((left, y - 8, left + round(number * span), y + 7), RIGHT)
            text(draw, (block.width, y), f"{number:.3f}", anchor="rm")
    note = f"mean {numbers[present].mean():.3f}" if present.any() else "all absent"
    return page([heading(title, note), block])


def _matrix(counts: NDArray[np.float64], entries: list[list[str]], names: list[str]) -> Image.Image:
    k = len(names)
    cell = max(KEY, min(44, MAX_WIDTH // k))
    size = min(BODY, cell - 1)
    labels = [shorten(name, size=size) for name in names]
    room = ceil(max(text_width(label, size) for label in labels))
    flat = room <= cell - 4
    axis = BODY + 2 * GAP
    left, top = axis + room + GAP, axis + (size if flat else room) + GAP
    centre = left + k * cell / 2
    # Of few classes the matrix is narrower than the word above it.
    wide = max(left + k * cell, ceil(centre + text_width("prediction") / 2))
    block, draw = canvas(wide, top + k * cell)
    text(draw, (centre, 0), "prediction", colour=MUTED, anchor="ma")
    side = turned("truth", colour=MUTED)
    block.paste(side, (0, top + (k * cell - side.height) // 2))
    for i, label in enumerate(labels):
        middle = i * cell + cell // 2
        text(draw, (left - GAP, top + middle), label, size, anchor="rm")
        if flat:
            text(draw, (left + middle, top - GAP), label, size, anchor="ms")
        else:
            name = turned(label, size)
            block.paste(name, (left + middle - name.width // 2, top - GAP - name.height))
    _fill(draw, counts, entries, left, top, cell)
    return block


def _fill(
    draw: ImageDraw.ImageDraw,
    counts: NDArray[np.float64],
    entries: list[list[str]],
    left: int,
    top: int,
    cell: int,
) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    widest = max(text_width(entry, BODY - 1) for row in entries for entry in row)
    # Where all rows are blank there is nothing to write.
    size = min(BODY - 1, int((BODY - 1) * (cell - 4) / max(widest, 1)))
    for i, j in np.ndindex(*counts.shape):
        x, y = left + j * cell, top + i * cell
        hue = _shade(RIGHT if i == j else CONFUSED, shares[i, j])
        draw.rectangle((x, y, x + cell - 2, y + cell - 2), hue)
        if cell >= 24:  # below that no number can be read
            colour = FAINT if not counts[i, j] else INK if _light(hue) else PAPER
            middle = (cell - 2) / 2
            text(draw, (x + middle, y + middle), entries[i][j], size, colour, "mm")


def _percentages(counts: NDArray[np.float64]) -> list[list[str]]:
    """Each count in per cent of its row; a row of nothing, of an absent class, stays blank."""

    def entry(count: float, total: float) -> str:
        share = 100 * count / total if total else 0.0
        if not count:
            return "0" if total else ""
        # No mistake is rounded away, and nothing that has one is called perfect.
        if share < 0.05:
            return "<.1"
        if 99.95 <= share < 100:
            return ">99.9"
        return f"{share:.1f}" if share < 100 else "100"

    totals = counts.sum(axis=1)
    return [[entry(n, total) for n in row] for row, total in zip(counts, totals, strict=True)]


def _shade(hue: Colour, share: float) -> Colour:
    """From a white that differs from the paper, so that cells show, to the hue."""
    weight = float(share) ** 0.5
    red, green, blue = (round(245 + (c - 245) * weight) for c in hue)
    return red, green, blue


def _light(colour: Colour) -> bool:
    """Whether dark text has more contrast on this colour than white text (WCAG's luminance)."""
    red, green, blue = ((c / 255) ** 2.2 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.21


def _count(number: float) -> str:
    """At most five characters, as many as fit into a cell: 9999, 12k, 1.2M, 12M, 1.2G."""
    if number < 1e4:
        return f"{number:.0f}"
    for unit, name in ((1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")):
        if number < 999.5 * unit:
            digits = 1 if number < 9.95 * unit else 0
            return f"{number / unit:.{digits}f}{name}"
    return f"{number:.0e}"


def _total(number: float) -> str:
    return f"{number:,.0f}" if number < 1e6 else _count(number)
