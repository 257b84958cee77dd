"""The axes of a plot: from values to pixels, and the numbers beside them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Width and height of a plot, and how much larger it is drawn: reduced, it has smooth edges.
WIDE, HIGH, FINE = 284, 208, 4


class Scale:
    """From values to pixels of the plot, whose origin is its upper left corner.

    The axis of y is logarithmic where the largest value is ten times the smallest or more.

    Args:
        values: all that the axis of y has to hold; those that are not finite are left out.
        ends: where the axis of x begins and ends.
    """

    def __init__(self, values: NDArray[np.float64], ends: tuple[float, float]) -> None:
        self.ends = ends
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        self.log = low > 0 and high >= 10 * low
        low, high = (math.log10(low), math.log10(high)) if self.log else (low, high)
        # Noise in the fourth digit is no curve.
        space = max((high - low) / 20, max(abs(low), abs(high)) / 1000) or 0.5
        self.low, self.high = low - space, high + space
        self.y_ticks = self._logarithms() if self.log else _steps(self.low, self.high, 5)
        self.x_ticks = [tick for tick in _steps(*ends, 6) if tick == round(tick)]

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return (value - self.ends[0]) / (self.ends[1] - self.ends[0]) * WIDE

    def y(self, value: float) -> float:
        """Pixels from the top."""
        level = math.log10(value) if self.log else value
        return (self.high - level) / (self.high - self.low) * HIGH

    def points(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Pixels of a plot that is `FINE` times as large."""
        return [(self.x(a) * FINE, self.y(b) * FINE) for a, b in zip(x, y, strict=True)]

    def label(self, tick: float) -> str:
        """A tick's number, with as many digits as tell it from the next one."""
        if self.log or len(self.y_ticks) < 2:
            return f"{tick:.3g}"
        step = self.y_ticks[1] - self.y_ticks[0]
        if not 1e-6 <= step <= max(abs(self.low), abs(self.high)) < 1e6:
            # Seven characters have room.
            return f"{tick:.2g}"
        digits = math.ceil(-math.log10(step) - 1e-9) + (f"{step:.1e}"[:3] == "2.5")
        return f"{tick:.{max(0, digits)}f}"

    def _logarithms(self) -> list[float]:
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        # All of 1, 2, 5 in few decades, and every so many decades where there are many.
        parts = (1, 2, 5) if len(decades) < 4 else (1, 3) if len(decades) < 6 else (1,)
        every = max(1, len(decades) // 6)
        ticks = [part * 10.0**k for k in decades if k % every == 0 for part in parts]
        return [tick for tick in ticks if self.low <= math.log10(tick) <= self.high]


def ends(x: NDArray[np.float64]) -> tuple[float, float]:
    """Where the axis of x begins and ends."""
    if not len(x):
        return 0.0, 1.0
    first, last = float(x.min()), float(x.max())
    # Room for the dots and the ring at either end.
    space = (last - first) / 40 or 1
    return first - space, last + space


def _steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers in an interval, `most` at most."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(part * power for part in (1, 2, 2.5, 5, 10) if part * power >= rough * 0.9999)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
