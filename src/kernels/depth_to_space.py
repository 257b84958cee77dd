"""Transposed convolution without the zeros: a plain convolution for each phase of the output.

Seen as a convolution of an input that zeros stretch (Dumoulin and Visin 2016, section 4.5), most
products are with a zero. The output pixels with the same remainder by the stride, a phase, need
only every stride-th weight; all phases are the maps of one convolution with stride 1 (Shi et al.
2016, section 2.2).
"""

from __future__ import annotations

import keras
from keras import ops

from src.kernels.strided import Pair, StridedConv2DTranspose


def kernel_phases(
    kernel: keras.KerasTensor, ends: tuple[Pair, Pair], strides: Pair
) -> keras.KerasTensor:
    """The kernel of the convolution whose maps are the phases of a transposed one.

    Args:
        kernel: `[height, width, in]` of each channel by itself, or `[height, width, in, out]`.
        ends: zeros that fill height and width up to whole strides, before and after.
        strides: growth of the maps, vertical and horizontal.

    Returns:
        `[taps, taps, in, out * phases]`, of each output map one phase after the other.
    """
    (height, width), channels = strides, kernel.shape[2:]
    kernel = ops.pad(kernel, [*ends, *[(0, 0)] * len(channels)])
    rows, columns = kernel.shape[0] // height, kernel.shape[1] // width
    kernel = ops.reshape(kernel, (rows, height, columns, width, *channels))
    kernel = ops.moveaxis(kernel, (1, 3), (-2, -1))
    return ops.reshape(ops.flip(kernel, (0, 1)), (rows, columns, channels[0], -1))


def interleaved(phases: keras.KerasTensor, channels: int, strides: Pair) -> keras.KerasTensor:
    """Puts phases, `[batch, rows, columns, channels * phases]`, in their places.

    Returns:
        Maps `[batch, rows * stride, columns * stride, channels]`.
    """
    rows, columns = ops.shape(phases)[1:3]
    grid = ops.reshape(phases, (-1, rows, columns, channels, *strides))
    grid = ops.transpose(grid, (0, 1, 4, 2, 5, 3))
    return ops.reshape(grid, (-1, rows * strides[0], columns * strides[1], channels))


@keras.saving.register_keras_serializable("deconv")
class PolyphaseConv2DTranspose(StridedConv2DTranspose):
    """`Conv2DTranspose` with SAME padding, computed phase by phase.

    It has the same weights and, but for rounding, the same values. On a CPU it is the faster one
    where there are few filters: the phases fill vector registers that lay empty.

    Shapes and errors are those of `StridedConv2DTranspose`.
    """

    def transposed(self, x: keras.KerasTensor, kernel: keras.KerasTensor) -> keras.KerasTensor:
        """Convolves, and puts the phases in their places."""
        (rows, ends_y), (columns, ends_x) = map(_taps, self.kernel_size, self.strides)
        kernel = ops.transpose(kernel, (0, 1, 3, 2))
        kernel = kernel_phases(kernel, (ends_y, ends_x), self.strides)
        phases = ops.conv(ops.pad(x, [(0, 0), rows, columns, (0, 0)]), kernel, padding="valid")
        return interleaved(phases, self.filters, self.strides)


def _taps(kernel: int, stride: int) -> tuple[Pair, Pair]:
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
