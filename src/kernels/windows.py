"""The windows of pooling, and what to do with indices that lie each in its own window.

An index may point anywhere, so unpooling is in general a scatter (`indexing`). But those of pooling
with non-overlapping windows lie each in its own, and then each output looks at one index only.
Compiled into one loop, that is several times faster than a scatter; one operation at a time, the
scatter is the faster. `compilable` says which of the two it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from src.arithmetic import sizes
from src.kernels import indexing
from src.tensors import Size, Tensor


class Axis(NamedTuple):
    """The windows along one axis: `count` of them, of which the first starts at pixel `-lead`."""

    size: Size
    kernel: int
    stride: int
    count: Size
    lead: Size


def along(size: Size, kernel: int, stride: int, padding: str) -> Axis:
    """Returns the windows of pooling along an axis of `size`.

    Raises:
        ValueError: no window fits, as far as the size is known.
    """
    if isinstance(size, int):
        count = sizes.conv_output_size(size, kernel, stride, padding)
        lead = sizes.conv_padding(size, kernel, stride, padding)[0]
        return Axis(size, kernel, stride, count, lead)
    if padding == "valid":
        return Axis(size, kernel, stride, (size - kernel) // stride + 1, 0)
    count = (size + stride - 1) // stride
    lead = ops.maximum((count - 1) * stride + kernel - size, 0) // 2
    return Axis(size, kernel, stride, count, lead)


def likely(size: int, count: int) -> Axis:
    """Returns the windows side by side that make `count` out of `size`, as far as that tells."""
    stride = sizes.likely_window(size, count)
    return Axis(size, stride, stride, count, max(count * stride - size, 0) // 2)


def compilable(x: Tensor) -> bool:
    """Whether kernels are compiled: in TensorFlow, while tracing, for sizes that are known.

    Each new size is compiled anew, which only repeated work of one shape pays back.
    """
    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return not tf.executing_eagerly() and None not in x.shape[1:]


def fused(kernel: Callable[..., Any], compiled: bool = True) -> Callable[..., Any]:
    """Compiles a kernel into one loop where TensorFlow would run it operation by operation.

    JAX users compile whole programs, so on JAX there is nothing to do.
    """
    if not compiled or keras.backend.backend() != "tensorflow":
        return kernel
    import tensorflow as tf

    def run(*args: Any) -> Any:
        tensors = [arg for arg in args if tf.is_tensor(arg)]
        rest = args[len(tensors) :]
        return tf.function(lambda *t: kernel(*t, *rest), jit_compile=True, autograph=False)(
            *tensors
        )

    return run


def pool(x: Tensor, grid: tuple[Axis, Axis], sliced: bool) -> tuple[Tensor, Tensor]:
    """Reduces the windows along their rows, then along their columns.

    The first maximum of the rows' first maxima is the first in row-major order.
    """
    rows, columns = grid
    channels = x.shape[-1]
    dtype = indexing.dtype((rows.size, columns.size, channels))
    if sliced:
        x = _pad_for_slices(x, grid)
    within_row = [
        (tap, ops.reshape(at * channels, (-1, 1)) + ops.arange(channels, dtype=dtype))
        for tap, at in _taps(x, columns, 2, sliced, dtype)
    ]
    values, labels = _first_maximum(within_row)
    labels = ops.broadcast_to(labels, ops.shape(values))
    within_window = [
        (tap, label + ops.reshape(at * (columns.size * channels), (-1, 1, 1)))
        for (tap, at), (label, _) in zip(
            _taps(values, rows, 1, sliced, dtype),
            _taps(labels, rows, 1, sliced, dtype),
            strict=True,
        )
    ]
    return _first_maximum(within_window)


def _taps(
    x: Tensor, windows: Axis, axis: int, sliced: bool, dtype: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the first element of every window, then the second, and so on, and their positions.

    Elements in the padding get the position of the edge, which is in the same window: should
    padding and an edge of minus infinity be equal, the answer is the edge. TensorFlow's strided
    slices take 20 times as long as its gathers, unless they are compiled, where it is they that
    are faster.
    """
    first = ops.arange(windows.count, dtype=dtype) * windows.stride - windows.lead
    for tap in range(windows.kernel):
        position = ops.clip(first + tap, 0, windows.size - 1)
        if sliced:
            last = tap + (windows.count - 1) * windows.stride
            cut = (slice(None),) * axis + (slice(tap, last + 1, windows.stride),)
            yield x[cut], position
        else:
            yield ops.take(x, position, axis=axis), position


def _pad_for_slices(x: Tensor, grid: tuple[Axis, Axis]) -> Tensor:
    dtype = keras.backend.standardize_dtype(x.dtype)
    lowest = -np.inf if keras.backend.is_float_dtype(dtype) else np.iinfo(dtype).min
    ends = [(w.count - 1) * w.stride + w.kernel - w.lead for w in grid]
    pads = [(w.lead, max(end - w.size, 0)) for w, end in zip(grid, ends, strict=True)]
    if not any(map(any, pads)):
        return x
    return ops.pad(x, [(0, 0), *pads, (0, 0)], constant_values=lowest)


def _first_maximum(candidates: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    (best, label), *others = candidates
    for value, here in others:
        wins = (value > best) | (ops.isnan(value) & ~ops.isnan(best))
        best, label = ops.where(wins, value, best), ops.where(wins, here, label)
    return best, label


def all_own(indices: Tensor, grid: tuple[Axis, Axis]) -> Tensor:
    """Whether every index lies in its own window and channel; then none is outside, none twice."""
    rows, columns = grid
    channels = indices.shape[-1]
    dtype = keras.backend.standardize_dtype(indices.dtype)
    row, column = indices // (columns.size * channels), indices // channels % columns.size
    own = (indices >= 0) & (row < rows.size)
    own &= indices % channels == ops.arange(channels, dtype=dtype)
    for windows, at, shape in ((rows, row, (-1, 1, 1)), (columns, column, (-1, 1))):
        window = ops.reshape(ops.arange(windows.count, dtype=dtype), shape)
        own &= (at + windows.lead) // windows.stride == window
    return ops.all(own)


def place(values: Tensor, indices: Tensor, grid: tuple[Axis, Axis]) -> Tensor:
    """Unpools indices that lie in their own windows."""
    rows, columns = grid
    chosen = indices[:, :, None, :, None] == _positions(indices, grid)
    framed = ops.where(chosen, values[:, :, None, :, None], ops.zeros((), values.dtype))
    frame = (rows.count * rows.stride, columns.count * columns.stride)
    framed = ops.reshape(framed, (-1, *frame, values.shape[-1]))
    return _shift(_shift(framed, 1, rows.lead, rows.size), 2, columns.lead, columns.size)


def pick(maps: Tensor, indices: Tensor, grid: tuple[Axis, Axis]) -> Tensor:
    """The adjoint of `place`: what the maps hold at each index."""
    rows, columns = grid
    framed = _shift(maps, 1, -rows.lead, rows.count * rows.stride)
    framed = _shift(framed, 2, -columns.lead, columns.count * columns.stride)
    cells = (rows.count, rows.stride, columns.count, columns.stride, maps.shape[-1])
    framed = ops.reshape(framed, (-1, *cells))
    positions = _positions(indices, grid)
    picked = ops.zeros_like(indices, dtype=maps.dtype)
    for row, column in np.ndindex(rows.stride, columns.stride):
        chosen = indices == positions[:, row, :, column]
        picked = ops.where(chosen, framed[:, :, row, :, column], picked)
    return picked


def _positions(indices: Tensor, grid: tuple[Axis, Axis]) -> Tensor:
    """Indices of all cells of the windows, `[rows, stride, columns, stride, channels]`."""
    rows, columns = grid
    channels = indices.shape[-1]
    dtype = keras.backend.standardize_dtype(indices.dtype)
    row, column = (
        ops.arange(windows.count * windows.stride, dtype=dtype) - windows.lead for windows in grid
    )
    row = ops.reshape(row * (columns.size * channels), (rows.count, rows.stride, 1, 1, 1))
    column = ops.reshape(column * channels, (columns.count, columns.stride, 1))
    return row + column + ops.arange(channels, dtype=dtype)


def _shift(x: Tensor, axis: int, lead: int, size: int) -> Tensor:
    """`x[lead : lead + size]` along an axis, with zeros where there is nothing."""
    length = x.shape[axis]
    cut = slice(max(lead, 0), min(lead + size, length))
    pads = (max(-lead, 0), max(lead + size - length, 0))
    x = x[(slice(None),) * axis + (cut,)]
    return ops.pad(x, [pads if a == axis else (0, 0) for a in range(4)]) if any(pads) else x
