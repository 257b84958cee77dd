"""Convolution and average pooling between the phases of maps.

The pixels of a map with the same remainders by s, down and across, are one of its s*s phases
(Vaidyanathan 1993, "Multirate systems and filter banks", section 4.3). With the phases side by
side as channels, few maps of many pixels are many maps of few, and these fill vector registers
that those leave nearly empty. Channel `phase * channels + c` is of map c; phases are in row-major
order.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


def phases(maps: keras.KerasTensor, stride: int) -> keras.KerasTensor:
    """Divides maps into their phases.

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


def kernel_between_phases(kernel: keras.KerasTensor, stride: int) -> keras.KerasTensor:
    """The kernel with which phases are convolved as their maps are with `kernel`, VALID, stride 1.

    Pixel `s*q + r` of an output map sees the pixels `s*q + r + d` of the input maps through the
    weights d: phase `(r + d) % s` at `q + (r + d) // s`.

    Args:
        kernel: `[k, k, in, out]`.
        stride: s, of both the input's and the output's phases.

    Returns:
        `[taps, taps, s * s * in, s * s * out]` with taps = ceil((s - 1 + k) / s).
    """
    size, _, inputs, outputs = kernel.shape
    taps, phase = -(-(stride - 1 + size) // stride), np.arange(stride)
    pixel, weight = np.arange(taps * stride), np.arange(size)
    sees = pixel[:, None, None] == phase[:, None] + weight
    places = np.einsum("ypk,xql->yxpqkl", sees, sees).reshape(taps, stride, taps, stride, -1)
    places = places.transpose(0, 2, 1, 3, 4).reshape(-1, size * size)
    placed = ops.matmul(
        ops.convert_to_tensor(places, dtype=kernel.dtype),
        ops.reshape(kernel, (size * size, inputs * outputs)),
    )
    # [taps and phases of the input, phases of the output, in, out]
    placed = ops.reshape(placed, (-1, stride * stride, inputs, outputs))
    return ops.reshape(
        ops.transpose(placed, (0, 2, 1, 3)), (taps, taps, stride * stride * inputs, -1)
    )


def pooling_between_phases(stride: int, channels: int) -> np.ndarray:
    """The matrix whose product with phases averages the windows of 2x2 pixels of their maps.

    Args:
        stride: s, even, of the phases; those of the pooled maps have half of it.
        channels: how many maps there are.

    Returns:
        `[s * s * channels, s/2 * s/2 * channels]`.
    """
    halves = np.repeat(np.eye(stride // 2), 2, axis=0) / 2
    return np.kron(np.kron(halves, halves), np.eye(channels))
