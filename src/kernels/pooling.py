"""Max pooling with indices, and the unpoolings that undo it, as functions of tensors.

Maps are `[batch, height, width, channels]`; an index is `(row * width + column) * channels +
channel` within its own image, padding not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from src.kernels import indexing, windows
from src.tensors import Size, Tensor

# Elements of a window up to which comparing with each of them is faster than a scatter.
_LARGEST_WINDOW = 64


def max_pool_with_argmax(
    x: Tensor, pool_size: tuple[int, int], strides: tuple[int, int], padding: str
) -> tuple[Tensor, Tensor]:
    """Returns the largest element of each window, and its index.

    The first of equals wins, in row-major order; NaN is larger than any number; padding never
    wins. The gradient of a value goes to the element at its index.

    Args:
        x: maps.
        pool_size: height and width of a window.
        strides: distance between windows, vertical and horizontal.
        padding: "valid" or "same".

    Returns:
        Values in the dtype of `x`, and their indices in the dtype `indexing.dtype`.

    Raises:
        ValueError: no window fits.
    """
    shape = ops.shape(x)[1:]
    grid = (
        windows.along(shape[0], pool_size[0], strides[0], padding),
        windows.along(shape[1], pool_size[1], strides[1], padding),
    )
    compiled = windows.compilable(x)
    overlap = any(axis.kernel > axis.stride for axis in grid)

    def forward(x: Tensor) -> tuple[tuple[Tensor, Tensor], Callable[..., Tensor]]:
        values, indices = windows.fused(windows.pool, compiled)(x, grid, compiled)

        def gradient(*upstreams: Any) -> Tensor:
            # JAX hands over one pair, TensorFlow two arguments; indices have no gradient.
            upstream, _ = upstreams if len(upstreams) == 2 else upstreams[0]
            if compiled and not overlap:
                return windows.fused(windows.place, compiled)(upstream, indices, grid)
            return indexing.scatter_sum(upstream, indices, shape)

        return (values, indices), gradient

    return ops.custom_gradient(forward)(x)


def max_unpool(values: Tensor, indices: Tensor, height: Size, width: Size) -> Tensor:
    """Puts each value where its index says, in maps of zeros.

    Where several values have the same index, the last in row-major order is assigned; nothing is
    added up. The gradient of every value, assigned or not, is that of the output at its index.

    Args:
        values: `[batch, rows, columns, channels]`.
        indices: integers of the same shape.
        height: height of the output.
        width: width of the output.

    Raises:
        ValueError: the shapes differ, or an index lies outside its image. In a TensorFlow graph
            the latter is an `InvalidArgumentError` when the graph runs; code that XLA compiles as
            a whole cannot tell.
    """
    expect_same_shape(values, indices)
    _, rows, columns, channels = ops.shape(values)
    shape = (height, width, channels)
    indexing.refuse_outside(indices, shape)
    compiled = windows.compilable(values) and isinstance(height, int) and isinstance(width, int)
    grid = (windows.likely(height, rows), windows.likely(width, columns)) if compiled else None
    if grid and grid[0].stride * grid[1].stride > _LARGEST_WINDOW:
        compiled = False

    def forward(values: Tensor, indices: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        own = windows.fused(windows.all_own)(indices, grid) if compiled else False
        output = ops.cond(
            own,
            lambda: windows.fused(windows.place)(values, indices, grid),
            lambda: indexing.scatter_last(values, indices, shape),
        )

        def gradient(upstream: Tensor) -> tuple[Tensor, None]:
            picked = ops.cond(
                own,
                lambda: windows.fused(windows.pick)(upstream, indices, grid),
                lambda: indexing.gather(upstream, indices, shape),
            )
            return picked, None

        return output, gradient

    return ops.custom_gradient(forward)(values, indices)


def average_unpool(
    x: Tensor, pool_size: tuple[int, int], height: Size | None = None, width: Size | None = None
) -> Tensor:
    """Gives every element of a window the window's value, so that pooling gives `x` back.

    This is not the adjoint of average pooling, which would also divide. A size that the windows
    exceed is that of SAME pooling, and cropped; one that they do not fill is that of VALID
    pooling, and what is left over is zero.

    Args:
        x: maps.
        pool_size: height and width of a window.
        height: height of the output; all windows in full if None.
        width: width of the output; all windows in full if None.

    Raises:
        ValueError: no pooling with these windows maps the size asked for to that of `x`.
    """
    for axis, (size, kernel) in enumerate(zip((height, width), pool_size, strict=True), start=1):
        count = ops.shape(x)[axis]
        if size is None:
            size = count * kernel
        expect_pooled(size, kernel, count)
        surplus = count * kernel - size
        lead = (max if isinstance(surplus, int) else ops.maximum)(surplus, 0) // 2
        window = (ops.arange(size, dtype="int32") + lead) // kernel
        covered = ops.reshape(window < count, [-1 if a == axis else 1 for a in range(4)])
        x = ops.take(x, ops.minimum(window, count - 1), axis=axis)
        x = ops.where(covered, x, ops.zeros((), x.dtype))
    return x


def expect_same_shape(values: Tensor, indices: Tensor) -> None:
    """Raises a ValueError unless values and indices have the same shape, as far as it is known."""
    if tuple(values.shape) != tuple(indices.shape):
        raise ValueError(
            f"expected indices of the values' shape {tuple(values.shape)}; "
            f"received {tuple(indices.shape)}"
        )


def expect_pooled(size: Size | None, kernel: int, count: Size | None) -> None:
    """Raises a ValueError if pooling with windows side by side cannot make `count` of `size`."""
    if isinstance(size, int) and isinstance(count, int):
        first, last = (count - 1) * kernel + 1, (count + 1) * kernel - 1
        if not first <= size <= last:
            raise ValueError(
                f"expected a size of {first} to {last}, which windows of {kernel} pool to {count}; "
                f"received {size=}"
            )
