"""Every colour of the figures, as sRGB bytes."""

from __future__ import annotations

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
WRONG: Colour = (232, 40, 40)
VOID: tuple[Colour, Colour] = ((222, 224, 227), (150, 153, 158))
NOT_FINITE: Colour = (255, 0, 255)

# Near-black, the seven hues of Okabe and Ito, then one by one the colour farthest (in OKLab) from
# those before it and from void's greys, red and magenta, as eyes without and with a red or green
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
        colours: integers 0-255, `[classes, 3]`, to use instead of `PALETTE`, which is gone
            through once more from its second colour on for every 23 classes beyond 24.

    Raises:
        ValueError: if `colours` are no such integers.
    """
    if colours is None:
        table = _bytes(PALETTE)
        return table[[i and 1 + (i - 1) % (len(table) - 1) for i in range(classes)]]
    given = np.asarray(colours)
    whole = given.dtype.kind in "iu" and given.shape == (classes, 3)
    if not whole or given.min() < 0 or given.max() > 255:
        raise ValueError(
            f"expected colours as integers 0-255 ({classes}, 3); received colours={given.tolist()}"
        )
    return given.astype(np.uint8)


def _bytes(codes: tuple[str, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(codes)), np.uint8).reshape(-1, 3)


def _ramp(codes: tuple[str, ...], steps: int) -> NDArray[np.uint8]:
    at = np.linspace(0, len(codes) - 1, steps)
    channels = [np.interp(at, np.arange(len(codes)), channel) for channel in _bytes(codes).T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


# An odd number of steps, so that no error at all has a colour of its own in the middle.
_RAMP = _ramp(_BLUE_TO_RED, 257)
