"""What the figures accept: each check returns its argument as an array or raises ValueError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def floats(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Floating-point numbers of exactly this shape, bfloat16 included."""
    array = np.asarray(value)
    if array.shape != shape or not _floating(array):
        raise ValueError(f"expected {name} as floats {shape}; received {name}={_describe(array)}")
    return array.astype(np.float64)


def images(name: str, value: ArrayLike, least: int = 1) -> Array:
    """Floating-point images `[n, height, width, 1 or 3]`, `least` or more, as float32 or 64."""
    array = np.asarray(value)
    shaped = array.ndim == 4 and array.shape[-1] in (1, 3) and min(array.shape[1:3]) > 0
    if not shaped or len(array) < least or not _floating(array):
        raise ValueError(
            f"expected {name} as floats (n >= {least}, height, width, 1 or 3); "
            f"received {name}={_describe(array)}"
        )
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def labels(
    name: str, value: ArrayLike, shape: tuple[int, ...], classes: int, void: int | None = None
) -> Array:
    """Integers of exactly this shape, each in [0, classes) or the void label."""
    array = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in "iu":
        raise ValueError(f"expected {name} as integers {shape}; received {name}={_describe(array)}")
    strange = (array < 0) | (array >= classes)
    if void is not None:
        strange &= array != void
    if strange.any():
        allowed = f"[0, {classes})" + ("" if void is None else f" or void {void}")
        raise ValueError(
            f"expected labels in {allowed}; received {name}={np.unique(array[strange]).tolist()}"
        )
    return array


def names(classes: Sequence[str]) -> list[str]:
    """At least one class name, each on one line."""
    if isinstance(classes, str) or not classes or not all(isinstance(c, str) for c in classes):
        raise ValueError(f"expected classes as a sequence of names; received classes={classes!r}")
    return [" ".join(name.split()) for name in classes]


def counts(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Whole numbers from 0 on, as integers or as floats, of exactly this shape."""
    array = np.asarray(value)
    if array.shape != shape or not (_floating(array) or array.dtype.kind in "iu"):
        raise ValueError(f"expected {name} as counts {shape}; received {name}={_describe(array)}")
    numbers = array.astype(np.float64)
    strange = ~(np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers)))
    if strange.any():
        raise ValueError(
            f"expected {name} to hold counts 0, 1, 2, ...; "
            f"received {name}={np.unique(numbers[strange]).tolist()}"
        )
    return numbers


def _floating(array: Array) -> bool:
    # NumPy does not know bfloat16, the dtype of what a network in mixed precision returns.
    return bool(np.issubdtype(array.dtype, np.floating)) or array.dtype.name == "bfloat16"


def _describe(array: Array) -> str:
    return f"{array.dtype} {array.shape}"
