"""What a data set is to the rest of the program: arrays, their names and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from src.data.examples import Examples
from src.errors import UserError

DIGITS = tuple("0123456789")
Value = TypeVar("Value")


class DataError(UserError):
    """A data set that cannot be had or read."""


class Lazily(Mapping[str, Value]):
    """Values by name, each of which is made when it is first asked for.

    Args:
        names: the names, in their order.
        make: makes the value of a name.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], Value]) -> None:
        self._names, self._make = tuple(names), make
        self._made: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class DataSet:
    """A data set as it was found on this machine.

    Attributes:
        name: the name it was asked for by.
        source: which of the possible sources served, for the run's record.
        digests: SHA-256 of what the splits hold, split by split.
        classes: names of the classes, in the order of the labels.
        kind: whether the targets are labels or masks.
        splits: `train`, `val` and `test`.
        void: label of the pixels that count neither in the loss nor in a metric, or None.
        colours: red, green and blue, 0 to 255, of each class in pictures; None for the usual ones.
        notice: one line to announce when a stand-in serves instead of the real data, else None.
        location: the section's options, absolute, with which a run finds the same data again
            without the environment.
    """

    name: str
    source: str
    digests: Mapping[str, str]
    classes: tuple[str, ...]
    kind: Literal["labels", "masks"]
    splits: Mapping[str, Examples]
    void: int | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None
    notice: str | None = None
    location: Mapping[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels of all that a model meets; None for a side that differs."""
        shapes = {split.image_shape for split in self.splits.values()}
        height, width, channels = (
            sizes.pop() if len(sizes) == 1 else None
            for sizes in map(set, zip(self.splits["train"].training_shape, *shapes, strict=True))
        )
        assert channels
        return height, width, channels

    def read(self) -> None:
        """Reads and checks every split, which otherwise waits until it is asked for.

        Raises:
            DataError: one of them is damaged or too small.
        """
        for split in self.splits:
            self.digests[split]

    @property
    def digest(self) -> str:
        """SHA-256 of the digests of all splits; reads those that have not been read yet."""
        lines = (f"{split} {digest}\n" for split, digest in self.digests.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()
