"""What an output of a network sees of its input, along one axis.

Exact, with branches and with layers that grow the map, which formulas for chains are not: there
neighbouring outputs see differently much. Standard library only.

Source for chains: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural
networks" (2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Window:
    """One axis of a layer that looks through windows.

    Attributes:
        kernel: extent of the kernel in pixels.
        stride: step of the kernel; for a transposed layer, growth of the map.
        lead: leading padding; for a transposed layer, leading crop of the full result.
        transposed: whether the layer grows the map (transposed convolution, unpooling).
    """

    kernel: int = 1
    stride: int = 1
    lead: int = 0
    transposed: bool = False

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Returns the first and the last element that the outputs `first` to `last` see.

        Transposed, output `o` is made of the elements `i` with `0 <= o + lead - i * stride <
        kernel`. Where the kernel is smaller than the stride there may be none; then the answer is
        the element before.
        """
        if self.transposed:
            low = -((self.kernel - 1 - first - self.lead) // self.stride)
            high = (last + self.lead) // self.stride
            return min(low, high), high
        return first * self.stride - self.lead, last * self.stride - self.lead + self.kernel - 1


@dataclass(frozen=True)
class ReceptiveField:
    """What one output sees of the input along one axis, far from the edges.

    Attributes:
        size: extent in input pixels, of the output that sees the most.
        jump: distance in input pixels between the centres of neighbouring outputs.
        offset: centre of output 0 in input pixels; pixel 0 is centred on 0.
    """

    size: int = 1
    jump: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)


class FeatureMap:
    """One axis of a map in a network: the windows that made it, and the maps it was made from.

    `FeatureMap()` is the network's input. Several sources are added or concatenated, pixel by
    pixel, before the windows look at them.

    Args:
        window: the layer.
        sources: the maps that it looks at.

    Attributes:
        jump: distance in input pixels between the centres of neighbouring outputs.
        offset: centre of output 0 in input pixels.
        grid: the least number of input pixels by which this map and all that it is made from move
            by whole elements.

    Raises:
        ValueError: the sources' jumps differ, so that they do not run side by side.
    """

    def __init__(self, window: Window | None = None, *sources: FeatureMap) -> None:
        self.window = window or Window()
        self.sources = sources
        self._seen: dict[tuple[int, int], tuple[int, int]] = {}
        if not sources:
            self.jump, self.offset, self._period = Fraction(1), Fraction(0), 1
            self.grid = 1
            return
        first, *others = sources
        for other in others:
            if other.jump != first.jump:
                raise ValueError(
                    f"expected jump={first.jump} in all branches; received {other.jump}"
                )
        stride, period = self.window.stride, math.lcm(*(source._period for source in sources))
        centre = Fraction(self.window.kernel - 1, 2) - self.window.lead
        if self.window.transposed:
            # Output i * stride + j - lead is made from input i: the convolution's map, undone.
            self.jump = first.jump / stride
            self.offset = first.offset - centre * self.jump
            self._period = stride * period
        else:
            self.jump = first.jump * stride
            self.offset = first.offset + centre * first.jump
            self._period = period // math.gcd(period, stride)
        self.grid = math.lcm(self.jump.numerator, *(source.grid for source in sources))

    @property
    def receptive_field(self) -> ReceptiveField:
        """What an output sees of the network's input."""
        sees = (self.sees(output, output) for output in range(self._period))
        size = max(last - first + 1 for first, last in sees)
        return ReceptiveField(size, self.jump, self.offset)

    def sees(self, first: int, last: int) -> tuple[int, int]:
        """Returns the first and the last input pixel that the outputs `first` to `last` see."""
        if not self.sources:
            return first, last
        if (first, last) not in self._seen:
            spans = [source.sees(*self.window.sees(first, last)) for source in self.sources]
            self._seen[first, last] = min(a for a, _ in spans), max(b for _, b in spans)
        return self._seen[first, last]

    def crop(self, output: int, size: int) -> range:
        """Returns the part of an input of `size` pixels from which one output comes out the same.

        It holds what the output sees, begins at a multiple of the grid, and is a multiple of it
        shorter than the input: each map of the part then lies on the map of the whole, element by
        element, and is padded alike where both end. For one size all parts have one length.
        """
        spare = size - (self.receptive_field.size + self.grid - 1)
        left_out = max(0, spare // self.grid * self.grid)
        first, _ = self.sees(output, output)
        start = min(max(0, first // self.grid * self.grid), left_out)
        return range(start, start + size - left_out)


def chain(windows: Iterable[Window]) -> FeatureMap:
    """Returns the last map of a network without branches."""
    last = FeatureMap()
    for window in windows:
        last = FeatureMap(window, last)
    return last


def alignment_crop(larger: ReceptiveField, smaller: ReceptiveField) -> int:
    """Returns how many leading elements to crop of one map to lay it over another.

    The crops of a fully convolutional network (Long, Shelhamer, Darrell 2015): output `i` of the
    cropped map is centred where output `i` of the other map is.

    Raises:
        ValueError: the maps have different jumps or lie a fraction of an element apart.
    """
    crop = (smaller.offset - larger.offset) / larger.jump
    if larger.jump != smaller.jump or crop.denominator != 1 or crop < 0:
        raise ValueError(
            "expected maps of one jump, a whole number of elements apart; "
            f"received {larger=}, {smaller=}"
        )
    return int(crop)
