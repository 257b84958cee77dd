"""Draws the figures of `docs/operators.md` from the operators themselves.

python -m docs.draw_operators
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.arithmetic import reference

FOLDER = Path(__file__).parent / "figures"
WINDOW_COLOURS = np.array([["#cfe2f3", "#fce5cd"], ["#d9ead3", "#ead1dc"]])


def grid(
    axes: Axes, side: int, numbers: np.ndarray, title: str, colours: np.ndarray | None = None
) -> None:
    """Draws a matrix as cells with its numbers in them, in a square of `side` cells."""
    for (row, column), number in np.ndenumerate(numbers):
        colour = "white" if colours is None else colours[row, column]
        axes.add_patch(
            plt.Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="0.4", lw=0.8)
        )
        pale = "0.75" if number == 0 else "black"
        axes.text(column + 0.5, row + 0.5, f"{number:g}", ha="center", va="center", color=pale)
    axes.set(xlim=(-0.1, side + 0.1), ylim=(side + 0.1, -0.1))
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=10)
    axes.axis("off")


def transposed() -> Figure:
    """[[1, 1], [2, 2]] through a 3x3 kernel of ones: four stamps, their sum, and the crop."""
    x, w = np.array([[1, 1], [2, 2]]), np.ones((3, 3, 1, 1), int)
    figure, panels = plt.subplots(1, 6, figsize=(11, 2.4), layout="constrained")
    total = np.zeros((5, 5), int)
    for panel, (row, column) in zip(panels, np.ndindex(2, 2), strict=False):
        one = np.zeros((1, 2, 2, 1), int)
        one[0, row, column] = x[row, column]
        stamp = reference.conv2d_transpose(one, w, (2, 2), "valid", (5, 5))[0, :, :, 0]
        colours = np.where(stamp != 0, WINDOW_COLOURS[row, column], "white")
        grid(panel, 5, stamp, f"from x[{row}, {column}] = {x[row, column]}", colours)
        total += stamp
    grid(panels[4], 5, total, "full = their sum")
    same = reference.conv2d_transpose(x[None, :, :, None], w, (2, 2), "same", (4, 4))
    grid(panels[5], 5, same[0, :, :, 0], "SAME = full[:4, :4]")
    return figure


def unpooling() -> Figure:
    """A 4x4 map, its maxima and their indices, and what either unpooling makes of them."""
    x = np.array([[1, 7, 3, 3], [5, 3, 2, 0], [-4, -9, 6, 8], [-2, -5, 5, 5]])
    maps = x[None, :, :, None].astype(float)
    values, indices = reference.max_pool_with_argmax(maps, (2, 2), (2, 2), "valid")
    means = maps.reshape(1, 2, 2, 2, 2, 1).mean(axis=(2, 4))
    colours = WINDOW_COLOURS.repeat(2, 0).repeat(2, 1)
    panels: list[tuple[np.ndarray, str, np.ndarray]] = [
        (maps, "x", colours),
        (values, "maxima", WINDOW_COLOURS),
        (indices, "indices y * 4 + x", WINDOW_COLOURS),
        (reference.max_unpool(values, indices, 4, 4), "max-unpooled", colours),
        (means, "means", WINDOW_COLOURS),
        (reference.average_unpool(means, (2, 2)), "average-unpooled", colours),
    ]
    figure, rows = plt.subplots(1, 6, figsize=(11, 2.2), layout="constrained")
    for axes, (numbers, title, shades) in zip(rows, panels, strict=True):
        grid(axes, 4, numbers[0, :, :, 0], title, shades)
    return figure


def bilinear() -> Figure:
    """The tents of the kernels, a wrong one, and a row of pixels upsampled by four."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
    for factor, style in ((2, "o-"), (3, "s-"), (4, "^-")):
        tent = reference.bilinear_kernel(factor).sum(axis=1) / factor
        left.plot(np.arange(len(tent)) - (len(tent) - 1) / 2, tent, style, label=f"by {factor}")
    left.set(title="kernels, one row each", xlabel="pixels from the middle")
    left.legend(frameon=False)
    x = np.array([0.0, 3.0, 1.0, 2.0])
    tent = reference.bilinear_kernel(4).sum(axis=1)[:, None, None, None] / 4
    y = reference.conv2d_transpose(x.reshape(1, 4, 1, 1), tent, (4, 1), "same", (16, 1)).ravel()
    nearest = reference.average_unpool(x.reshape(1, 4, 1, 1), (4, 1)).ravel()
    right.plot(nearest, drawstyle="steps-mid", color="0.7", label="average-unpooled")
    right.plot(y, "o-", ms=4, label="bilinear")
    right.plot(np.arange(4) * 4 + 1.5, x, "k*", ms=9, label="input")
    right.set(title="a row of 4 pixels, by 4", xlabel="output pixel")
    right.legend(frameon=False, fontsize=8)
    return figure


def shift() -> Figure:
    """Three scores by a stride of four, cropped to ten rows and asked for ten rows."""
    x = np.array([0.0, 2.0, 1.0]).reshape(1, 3, 1, 1)
    tent = reference.bilinear_kernel(4).sum(axis=1)[:, None, None, None] / 4
    full, asked = (
        reference.conv2d_transpose(x, tent, (4, 1), "same", (rows, 1)).ravel() for rows in (12, 10)
    )
    figure, axes = plt.subplots(figsize=(5.5, 2.6), layout="constrained")
    axes.plot(full, "o-", ms=4, label="12 rows, of which the first 10")
    axes.plot(asked, "s--", ms=4, label="asked for 10 rows: 1 row early")
    axes.axvspan(9.5, 11.5, color="0.9")
    axes.set(xlabel="row", xticks=range(12))
    axes.legend(frameon=False, fontsize=8, loc="lower center")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    figure.__name__: figure for figure in (transposed, unpooling, bilinear, shift)
}


def main() -> None:
    """Draws every figure into `docs/figures`."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        figure = draw()
        figure.savefig(FOLDER / f"{name}.png", dpi=90, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
