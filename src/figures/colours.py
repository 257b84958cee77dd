"""Every colour of the figures, as sRGB bytes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 33, 36)
MUTED: Colour = (95, 99, 104)
FAINT: Colour = (165, 168, 173)
RULE: Colour = (218, 220, 224)

RIGHT: Colour = (11, 87, 160)
CONFUSED: Colour = (245, 100, 0)
# Light on a dimmed picture, so that it can be seen with protanopia, too.
WRONG: Colour = (255, 200, 0)
VOID: tuple[Colour, Colour] = ((222, 224, 227), (150, 153, 158))
NOT_FINITE: Colour = (255, 0, 255)

# Near-black, the seven hues of Okabe and Ito, then one by one the colour farthest (in OKLab) from
# those before it and from void's greys, a red and magenta, as eyes without and with a red or green
# deficiency see them. Its dark purple changed places with the lighter violet, which shows thin
# shapes better on the black of the first class.
PALETTE = (
    *("141418", "56b4e9", "e69f00", "009e73", "f0e442", "0072b2", "cc79a7", "d55e00"),
    *("8778ff", "ffd2ff", "00e196", "4b2db4", "870f69", "783c00", "875a78", "a5ffc3"),
    *("b43ca5", "96b469", "96d2d2", "00784b", "ff78d2", "ffb487", "2d4b87", "96874b"),
)

# Blue, near-white, red: lightness falls alike on both sides, so that neither sign looks larger.
_BLUE_TO_RED = ("09326e", "3478be", "9ec8e8", "f7f7f7", "f6b998", "d05c36", "701410")


def diverging(values: ArrayLike) -> NDArray[np.uint8]:
    """Blue for -1, near-white for exactly 0, red for 1; what lies beyond is clipped.

    Args:
        values: numbers `[...]`; those that are not finite become `NOT_FINITE`.

    Returns:
        uint8 `[..., 3]`.
    """
    numbers = np.asarray(values)
    finite = np.isfinite(numbers)
    half = len(_RAMP) // 2
    level = np.rint(half + half * np.clip(np.where(finite, numbers, 0), -1, 1)).astype(np.intp)
    colours = _RAMP[level]
    colours[~finite] = NOT_FINITE
    return colours


def class_colours(classes: int, colours: ArrayLike | None = None) -> NDArray[np.uint8]:
    """A colour for each class, uint8 `[classes, 3]`.

    Args:
        classes: how many.
        colours: integers 0-255, `[classes, 3]`, to use instead of `PALETTE` and what follows it.

    Raises:
        ValueError: if `colours` are no such integers.
    """
    if colours is None:
        return _bytes(PALETTE)[:classes] if classes <= len(PALETTE) else _further(classes)
    given = np.asarray(colours)
    whole = given.dtype.kind in "iu" and given.shape == (classes, 3)
    if not whole or given.min() < 0 or given.max() > 255:
        raise ValueError(
            f"expected colours as integers 0-255 ({classes}, 3); received colours={given.tolist()}"
        )
    return given.astype(np.uint8)


def _bytes(codes: tuple[str, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(codes)), np.uint8).reshape(-1, 3)


# Protanopia and deuteranopia as matrices on linear RGB (Machado, Oliveira and Fernandes 2009, table
# 1, severity 1), and the two matrices of OKLab (Ottosson 2020).
_EYES = (
    np.eye(3),
    np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    np.array([[0.3673, 0.8606, -0.2279], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
)
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(colours: ArrayLike) -> NDArray[np.float64]:
    """Linear light, 0 to 1, of sRGB bytes `[..., 3]` (IEC 61966-2-1)."""
    parts = np.asarray(colours) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def as_seen(colours: ArrayLike) -> NDArray[np.float64]:
    """Linear light of bytes `[..., 3]` in normal vision, protanopia and deuteranopia.

    Returns:
        `[3, ..., 3]`.
    """
    return np.stack([np.clip(linear(colours) @ eye.T, 0, 1) for eye in _EYES])


def oklab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lightness and two opponent colours, `[..., 3]`, in which distances are about as seen."""
    return np.cbrt(light @ _TO_CONES.T) @ _TO_LAB.T


@lru_cache
def _further(classes: int) -> NDArray[np.uint8]:
    """`PALETTE`, and one by one the colour farthest from all before it and from what is reserved.

    The distance of two colours is the least of the three kinds of vision.
    """
    levels = np.arange(0, 256, 15)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    # Near black and near white OKLab's distances are larger than what a screen shows.
    lightness = oklab(linear(grid))[:, 0]
    grid = grid[(lightness > 0.4) & (lightness < 0.93)]
    seen = oklab(as_seen(grid))
    farthest = np.full(len(grid), np.inf)
    table = [*_bytes(PALETTE).tolist()]

    def add(colour: ArrayLike) -> None:
        apart = np.linalg.norm(seen - oklab(as_seen(colour))[:, None], axis=-1).min(axis=0)
        np.minimum(farthest, apart, out=farthest)

    for colour in (*table, WRONG, *VOID, NOT_FINITE):
        add(colour)
    while len(table) < classes:
        table.append(grid[farthest.argmax()].tolist())
        add(table[-1])
    return np.array(table, np.uint8)


def _ramp(codes: tuple[str, ...], steps: int) -> NDArray[np.uint8]:
    at = np.linspace(0, len(codes) - 1, steps)
    channels = [np.interp(at, np.arange(len(codes)), channel) for channel in _bytes(codes).T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


# An odd number of steps, so that no error at all has a colour of its own in the middle.
_RAMP = _ramp(_BLUE_TO_RED, 257)
