"""Reading and writing maps by index, wherever in the image the indices point.

Maps are `[batch, height, width, channels]`; an index is `(row * width + column) * channels +
channel` within its own image. Indices stay integers: a float32 holds them exactly up to 2**24 only,
a bfloat16 up to 256. Results do not depend on the order in which a device writes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from src.tensors import Size, Tensor


def dtype(shape: Iterable[Size | None]) -> str:
    """Returns the dtype of indices into images `[height, width, channels]`.

    `int32` up to 2**31 elements, then `int64`; sizes that are not known count as small.
    """
    known = [size for size in shape if isinstance(size, int)]
    return "int64" if functools.reduce(operator.mul, known, 1) > 2**31 else "int32"


def gather(maps: Tensor, indices: Tensor, shape: tuple[Size, Size, int]) -> Tensor:
    """Returns what `maps`, images of `shape`, hold at each index."""
    positions, _ = _across_batch(indices, shape)
    return ops.reshape(ops.take(ops.reshape(maps, (-1,)), positions), ops.shape(indices))


def scatter_sum(values: Tensor, indices: Tensor, shape: tuple[Size, Size, int]) -> Tensor:
    """Adds up the values at each index, in images of `shape`."""
    positions, total = _across_batch(indices, shape)
    maps = ops.segment_sum(ops.reshape(values, (-1,)), positions, total)
    return ops.reshape(maps, (-1, *shape))


def scatter_last(values: Tensor, indices: Tensor, shape: tuple[Size, Size, int]) -> Tensor:
    """Assigns each index the last of its values in row-major order, in images of `shape`.

    Raises:
        InvalidArgumentError: in a TensorFlow graph, an index lies outside its image.
    """
    indices = _asserted_inside(indices, shape)
    positions, total = _across_batch(indices, shape)
    turn = ops.arange(ops.size(values), dtype=positions.dtype)
    last = ops.take(ops.segment_max(turn, positions, total), positions) == turn
    kept = ops.where(ops.reshape(last, ops.shape(values)), values, ops.zeros((), values.dtype))
    return scatter_sum(kept, indices, shape)


def refuse_outside(indices: Tensor, shape: tuple[Size, Size, int]) -> None:
    """Refuses indices outside images of `shape`, if their values are known now.

    Raises:
        ValueError: an index is negative or too large.
    """
    if not _concrete(indices):
        return
    found, size = np.asarray(indices), int(np.prod(shape))
    if found.size and not 0 <= found.min() <= found.max() < size:
        raise ValueError(
            f"expected indices from 0 to {size - 1}; received {found.min()} to {found.max()}"
        )


def _asserted_inside(indices: Tensor, shape: tuple[Size, Size, int]) -> Tensor:
    if keras.backend.backend() != "tensorflow":
        return indices
    import tensorflow as tf

    size = _product(shape)
    inside = tf.reduce_all((indices >= 0) & (tf.cast(indices, "int64") < size))
    told = ["expected indices from 0 to one less than", size, "; received", indices]
    with tf.control_dependencies([tf.debugging.Assert(inside, told)]):
        return tf.identity(indices)


def _concrete(x: Tensor) -> bool:
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf.executing_eagerly()
        case "jax":
            import jax

            return not isinstance(x, jax.core.Tracer)
    return False


def _across_batch(indices: Tensor, shape: tuple[Size, Size, int]) -> tuple[Tensor, Size]:
    """Positions in the batch as a whole, flat, and its number of elements.

    These outgrow 32 bits before the indices do. JAX has no 64 bits unless it is told to.
    """
    wide = "int64" if keras.backend.backend() == "tensorflow" else "int32"
    size = _product(shape)
    batch = ops.shape(indices)[0]
    first = ops.arange(batch, dtype=wide) * size
    positions = ops.cast(indices, wide) + ops.reshape(first, (-1, 1, 1, 1))
    return ops.reshape(positions, (-1,)), _product((batch, size))


def _product(sizes: Iterable[Size]) -> Size:
    """The product; a 64-bit tensor if a factor is a tensor."""
    known = (size if isinstance(size, int) else ops.cast(size, "int64") for size in sizes)
    return functools.reduce(operator.mul, known, 1)
