"""Transposed convolution without the zeros: a plain convolution, then depth to space.

Seen as a convolution of an input with zeros inserted between its pixels (Dumoulin and Visin 2016,
section 4.5), most products are with a zero. The output pixels with the same remainder by the stride
need only every stride-th weight; those of all remainders are the maps of one convolution with
stride 1, and depth to space puts them in their places (sub-pixel convolution, Shi et al. 2016,
section 2.2).
"""

from __future__ import annotations

from keras import ops

from src.tensors import Tensor


def subpixel_kernel(
    kernel: Tensor, ends: tuple[tuple[int, int], tuple[int, int]], strides: tuple[int, int]
) -> Tensor:
    """The kernel of the convolution that depth to space makes a transposed one of.

    Args:
        kernel: `[height, width, in]` of each channel by itself, or `[height, width, in, out]`.
        ends: zeros that fill height and width up to whole strides, before and after.
        strides: growth of the maps, vertical and horizontal.

    Returns:
        `[taps, taps, in, out * height * width]`; for each output map one channel a pixel of the
        stride, in row-major order.
    """
    (height, width), channels = strides, kernel.shape[2:]
    kernel = ops.pad(kernel, [*ends, *[(0, 0)] * len(channels)])
    rows, columns = kernel.shape[0] // height, kernel.shape[1] // width
    kernel = ops.reshape(kernel, (rows, height, columns, width, *channels))
    kernel = ops.moveaxis(kernel, (1, 3), (-2, -1))
    return ops.reshape(ops.flip(kernel, (0, 1)), (rows, columns, channels[0], -1))


def depth_to_space(x: Tensor, channels: int, strides: tuple[int, int]) -> Tensor:
    """Makes pixels of channels: `[batch, rows, columns, channels * height * width]` of the strides.

    Returns:
        Maps `[batch, rows * stride, columns * stride, channels]`.
    """
    rows, columns = ops.shape(x)[1:3]
    grid = ops.reshape(x, (-1, rows, columns, channels, *strides))
    grid = ops.transpose(grid, (0, 1, 4, 2, 5, 3))
    return ops.reshape(grid, (-1, rows * strides[0], columns * strides[1], channels))


def conv2d_transpose(x: Tensor, kernel: Tensor, strides: tuple[int, int]) -> Tensor:
    """A transposed convolution with SAME padding as a convolution and depth to space.

    But for rounding its values are those of `keras.ops.conv_transpose`. On a CPU it is the faster
    one where there are few filters: those of all pixels of a stride fill vector registers that a
    few leave empty.

    Args:
        x: maps, `[batch, rows, columns, in]`.
        kernel: `[height, width, out, in]`.
        strides: growth of the maps, vertical and horizontal.

    Returns:
        `[batch, rows * stride, columns * stride, out]`.
    """
    (rows, ends_y), (columns, ends_x) = map(_taps, kernel.shape[:2], strides)
    own = subpixel_kernel(ops.transpose(kernel, (0, 1, 3, 2)), (ends_y, ends_x), strides)
    maps = ops.conv(ops.pad(x, [(0, 0), rows, columns, (0, 0)]), own, padding="valid")
    return depth_to_space(maps, kernel.shape[2], strides)


def conv2d_transpose_by_rows(x: Tensor, kernel: Tensor, strides: tuple[int, int]) -> Tensor:
    """A transposed convolution with SAME padding in which a stride's pixels of a row are channels.

    Its values are those of `keras.ops.conv_transpose`. Kernels and maps are laid out as they were:
    only their shapes change.

    Args:
        x: maps, `[batch, rows, columns, in]`.
        kernel: `[height, width, out, in]`, at least as high as the stride, and of several strides'
            width.
        strides: growth of the maps, vertical and horizontal.

    Returns:
        `[batch, rows * stride, columns * stride, out]`.
    """
    (height, width, filters, channels), (down, across) = kernel.shape, strides
    batch, rows, columns, _ = ops.shape(x)
    taps = width // across
    wide = ops.reshape(kernel, (height, taps, across * filters, channels))
    y = ops.conv_transpose(x, wide, (down, 1), padding="valid")
    size = (rows - 1) * down + height, (columns - 1 + taps) * across
    y = ops.reshape(y, (-1, *size, filters))
    lead = (height - down) // 2, (width - across) // 2
    return ops.slice(y, (0, *lead, 0), (batch, rows * down, columns * across, filters))


def _taps(kernel: int, stride: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many input pixels before and after its own an output pixel sees along an axis.

    `out[s*q + r]` is the sum of `x[q + d] * w[r + p - s*d]`, where `p` weights come before the
    first output pixel, over all `d` for which there is such a weight at any `r`.

    Returns:
        The pixels before and after, and the zeros that fill the kernel up at its two ends.
    """
    lead = max(kernel - stride, 0) // 2
    before, after = (kernel - 1 - lead) // stride, (stride - 1 + lead) // stride
    front = stride * after - lead
    return (before, after), (front, stride * (before + 1 + after) - front - kernel)
