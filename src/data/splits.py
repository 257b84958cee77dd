"""What all splits have: a part to hold out, a few examples to show, and a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol, TypeVar

import numpy as np

from src.data.dataset import DataError, Lazily
from src.data.examples import Examples


class _Sliced(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self: Some, examples: slice, /) -> Some: ...


Some = TypeVar("Some", bound=_Sliced)


def held_out(examples: Some, count: int) -> tuple[Some, Some]:
    """The training examples, and the last `count` of them, which are the validation set.

    Raises:
        DataError: nothing would be left to train on.
    """
    if count >= len(examples):
        raise DataError(
            f"expected more than {count:,} training examples, of which the last {count:,} are "
            f"for validation (data.val_examples); received {len(examples):,}"
        )
    return examples[:-count], examples[-count:]


def spread(count: int, most: int) -> np.ndarray:
    """Numbers of `most` of `count` examples, or of all, from everywhere among them.

    Neighbours may be alike, as frames of a video are, and classes may take turns: so the step is
    one more than an equal part would be.
    """
    shown = min(count, most)
    step = count // max(shown, 1)
    places = np.arange(shown)
    return places * count // max(shown, 1) + places % max(step, 1)


def digests(splits: Mapping[str, Examples]) -> Mapping[str, str]:
    """The `digest_of` each split, worked out when it is first asked for."""
    return Lazily(splits, lambda name: digest_of(splits[name]))


def digest_of(examples: Examples) -> str:
    """SHA-256 of the examples' order, shapes, types, images and targets, equal everywhere."""
    total = hashlib.sha256()

    def add(array: np.ndarray) -> None:
        # An explicit byte order, so that the digest does not depend on the processor's.
        total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)

    def head(name: str, array: np.ndarray) -> None:
        kind = array.dtype.newbyteorder("<").str
        total.update(f"{name} {kind} {(len(examples), *array.shape[1:])}\n".encode())

    targets: list[np.ndarray] = []
    for part in examples.parts():
        if not targets:
            head("images", part.images)
        add(part.images)
        targets.append(part.targets)
    head("targets", targets[0])
    for some in targets:
        add(some)
    return total.hexdigest()
