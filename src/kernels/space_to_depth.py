"""Convolution and average pooling after space to depth.

Space to depth makes channels of the s*s pixels of a block, in row-major order: channel `pixel *
channels + c` is of map c (polyphase components: Vaidyanathan 1993, "Multirate systems and filter
banks", section 4.3). Few maps of many pixels become many maps of few, and these fill vector
registers that those leave nearly empty.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from src.tensors import Tensor


def space_to_depth(maps: Tensor, stride: int) -> Tensor:
    """Makes channels of blocks of pixels.

    Args:
        maps: `[batch, height, width, channels]`.
        stride: s, which divides height and width.

    Returns:
        `[batch, height / s, width / s, s * s * channels]`.
    """
    height, width, channels = maps.shape[1:]
    rows, columns = height // stride, width // stride
    # The channels stay with the columns if there is but one: a transposition of fewer axes.
    rest = (stride,) if channels == 1 else (stride, channels)
    grid = ops.reshape(maps, (-1, rows, stride, columns, *rest))
    grid = ops.transpose(grid, (0, 1, 3, 2, *range(4, 4 + len(rest))))
    return ops.reshape(grid, (-1, rows, columns, stride * stride * channels))


def blocked_kernel(kernel: Tensor, stride: int) -> Tensor:
    """The kernel that convolves maps after space to depth as `kernel` does before, VALID, stride 1.

    Pixel `s*q + r` of an output map sees the pixels `s*q + r + d` of the input maps through the
    weights d: pixel `(r + d) % s` of block `q + (r + d) // s`.

    Args:
        kernel: `[k, k, in, out]`.
        stride: s, the side of both the input's and the output's blocks.

    Returns:
        `[taps, taps, s * s * in, s * s * out]` with taps = ceil((s - 1 + k) / s).
    """
    size, _, inputs, outputs = kernel.shape
    taps, place = -(-(stride - 1 + size) // stride), np.arange(stride)
    pixel, weight = np.arange(taps * stride), np.arange(size)
    sees = pixel[:, None, None] == place[:, None] + weight
    places = np.einsum("ypk,xql->yxpqkl", sees, sees).reshape(taps, stride, taps, stride, -1)
    places = places.transpose(0, 2, 1, 3, 4).reshape(-1, size * size)
    placed = ops.matmul(
        ops.convert_to_tensor(places, dtype=kernel.dtype),
        ops.reshape(kernel, (size * size, inputs * outputs)),
    )
    # [taps and pixels of the input, pixels of the output, in, out]
    placed = ops.reshape(placed, (-1, stride * stride, inputs, outputs))
    return ops.reshape(
        ops.transpose(placed, (0, 2, 1, 3)), (taps, taps, stride * stride * inputs, -1)
    )


def blocked_pooling(stride: int, channels: int) -> np.ndarray:
    """The matrix whose product with maps after space to depth averages their windows of 2x2 pixels.

    Args:
        stride: s, even, the side of the blocks; those of the pooled maps have half of it.
        channels: how many maps there are.

    Returns:
        `[s * s * channels, s/2 * s/2 * channels]`.
    """
    halves = np.repeat(np.eye(stride // 2), 2, axis=0) / 2
    return np.kron(np.kron(halves, halves), np.eye(channels))
