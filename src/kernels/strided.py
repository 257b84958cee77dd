"""Strided convolutions that compute the gradient of their kernel as a convolution.

Along one axis, the gradient of `y[n, i, d] = sum over a, c of x[n, s*i + a - p, c] * w[a, c, d]` is

    dw[a, c, d] = sum over n, i of x[n, s*i + a - p, c] * dy[n, i, d],

itself a convolution: of c images with n channels by a kernel dy, from n to d channels, that is
dilated by s. In bfloat16 on a CPU TensorFlow's own operation for it takes 1.4 times as long. With
stride 1 and in float32, where that is the faster one, on a GPU, and on other backends, it is left
to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from src.tensors import Tensor


def kernel_gradient(
    x: Tensor, dy: Tensor, kernel_size: tuple[int, int], strides: tuple[int, int]
) -> Tensor:
    """The gradient of the kernel of a convolution with SAME padding.

    Args:
        x: what is convolved, `[batch, height, width, in]`, of sides that the strides divide.
        dy: gradient of the result, `[batch, height / stride, width / stride, out]`.
        kernel_size: height and width of the kernel.
        strides: of the convolution, vertical and horizontal.

    Returns:
        `[height, width, in, out]`, the kernel's height and width.
    """
    import tensorflow as tf

    totals = [max(size - stride, 0) for size, stride in zip(kernel_size, strides, strict=True)]
    padding = [(total // 2, total - total // 2) for total in totals]
    images = ops.transpose(ops.pad(x, [(0, 0), *padding, (0, 0)]), (3, 1, 2, 0))
    kernel = ops.transpose(dy, (1, 2, 0, 3))
    # keras.ops dilates by cutting a batch up and putting it together again, half as fast.
    gradient = tf.nn.conv2d(images, kernel, 1, "VALID", dilations=strides)
    return ops.transpose(gradient[:, : kernel_size[0], : kernel_size[1]], (1, 2, 0, 3))


def _transposed(x: Tensor, kernel: Tensor, strides: tuple[int, int]) -> Tensor:
    return ops.conv_transpose(x, kernel, strides, padding="same")


def conv2d(x: Tensor, kernel: Tensor, strides: tuple[int, int]) -> Tensor:
    """A convolution with SAME padding; it trains faster on a CPU.

    Args:
        x: maps, `[batch, height, width, in]`, of sides that the strides divide.
        kernel: `[height, width, in, out]`.
        strides: vertical and horizontal.

    Returns:
        `[batch, height / stride, width / stride, out]`, without bias and activation.
    """

    def convolved(x: Tensor, w: Tensor) -> Tensor:
        return ops.conv(x, w, strides, padding="same")

    def gradients(x: Tensor, w: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
        dx = ops.conv_transpose(dy, w, strides, padding="same")
        return dx, kernel_gradient(x, dy, tuple(w.shape[:2]), strides)

    return _differentiated(convolved, gradients, x, kernel, strides)


def conv2d_transpose(
    x: Tensor,
    kernel: Tensor,
    strides: tuple[int, int],
    product: Callable[[Tensor, Tensor, tuple[int, int]], Tensor] = _transposed,
) -> Tensor:
    """A transposed convolution with SAME padding; it trains faster on a CPU.

    Args:
        x: maps, `[batch, rows, columns, in]`.
        kernel: `[height, width, out, in]`.
        strides: growth of the maps, vertical and horizontal.
        product: what computes it.

    Returns:
        `[batch, rows * stride, columns * stride, out]`, without bias and activation.
    """

    def transposed(x: Tensor, w: Tensor) -> Tensor:
        return product(x, w, strides)

    def gradients(x: Tensor, w: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
        # A transposed convolution is the gradient of a convolution's input: dy and x change places.
        dx = ops.conv(dy, w, strides, padding="same")
        return dx, kernel_gradient(dy, x, tuple(w.shape[:2]), strides)

    return _differentiated(transposed, gradients, x, kernel, strides)


def _gains(x: Tensor, strides: tuple[int, int]) -> bool:
    return (
        max(strides) > 1
        and keras.backend.backend() == "tensorflow"
        and keras.backend.standardize_dtype(x.dtype) == "bfloat16"
        and not keras.distribution.list_devices("gpu")
    )


def _differentiated(
    function: Callable[[Tensor, Tensor], Tensor],
    gradients: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    kernel: Tensor,
    strides: tuple[int, int],
) -> Tensor:
    """`function(x, kernel)`; where it gains, its gradients are `gradients(x, kernel, dy)`."""
    if not _gains(x, strides):
        return function(x, kernel)
    import tensorflow as tf

    @tf.custom_gradient
    def differentiated(x: Tensor, w: Tensor) -> tuple[Tensor, Any]:
        return function(x, w), lambda dy: gradients(x, w, dy)

    # Keras' own conversion may leave it a variable, which has no gradient here.
    return differentiated(x, tf.convert_to_tensor(kernel))
