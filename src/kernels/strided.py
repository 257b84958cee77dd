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
from keras import layers, ops

Pair = tuple[int, int]


def kernel_gradient(
    x: keras.KerasTensor, dy: keras.KerasTensor, kernel_size: Pair, strides: Pair
) -> keras.KerasTensor:
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


@keras.saving.register_keras_serializable("deconv")
class StridedConv2D(layers.Conv2D):
    """`Conv2D` with SAME padding for maps that the strides divide; it trains faster on a CPU.

    Shapes: `[batch, height, width, channels]` to `[batch, height / stride, width / stride,
    filters]`.

    Raises:
        ValueError: (when built) padding, dilation, groups or layout are others, or the strides do
            not divide the maps.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel `[height, width, channels, filters]` and the bias `[filters]`."""
        _expect_plain(self, groups=self.groups)
        sides = zip(input_shape[1:3], self.strides, strict=True)
        if any(side is None or side % stride for side, stride in sides):
            raise ValueError(
                f"expected maps that strides={self.strides} divide; received {input_shape=}"
            )
        super().build(input_shape)

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Convolves."""
        if not _gains(inputs, self.strides):
            return super().convolution_op(inputs, kernel)

        def convolved(x: Any, w: Any) -> Any:
            return ops.conv(x, w, self.strides, padding="same")

        def gradients(x: Any, w: Any, dy: Any) -> tuple[Any, Any]:
            dx = ops.conv_transpose(dy, w, self.strides, padding="same")
            return dx, kernel_gradient(x, dy, self.kernel_size, self.strides)

        return _differentiated(convolved, gradients, inputs, kernel)


@keras.saving.register_keras_serializable("deconv")
class StridedConv2DTranspose(layers.Conv2DTranspose):
    """`Conv2DTranspose` with SAME padding; it trains faster on a CPU.

    Shapes: `[batch, rows, columns, channels]` to `[batch, rows * stride, columns * stride,
    filters]`, the strides of the two axes.

    Raises:
        ValueError: (when built) padding, dilation or layout are others.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel `[height, width, filters, channels]` and the bias `[filters]`."""
        _expect_plain(self, output_padding=self.output_padding)
        super().build(input_shape)

    def transposed(self, x: keras.KerasTensor, kernel: keras.KerasTensor) -> keras.KerasTensor:
        """Convolves, without bias and activation."""
        return ops.conv_transpose(x, kernel, self.strides, padding="same")

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Convolves."""

        def gradients(x: Any, w: Any, dy: Any) -> tuple[Any, Any]:
            # This layer is the gradient of a convolution's input, so dy and x change places.
            dx = ops.conv(dy, w, self.strides, padding="same")
            return dx, kernel_gradient(dy, x, self.kernel_size, self.strides)

        if _gains(inputs, self.strides):
            outputs = _differentiated(self.transposed, gradients, inputs, self.kernel)
        else:
            outputs = self.transposed(inputs, self.kernel)
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)


def _gains(x: keras.KerasTensor, strides: Pair) -> bool:
    return (
        max(strides) > 1
        and keras.backend.backend() == "tensorflow"
        and keras.backend.standardize_dtype(x.dtype) == "bfloat16"
        and not keras.distribution.list_devices("gpu")
    )


def _differentiated(
    function: Callable[[Any, Any], Any],
    gradients: Callable[[Any, Any, Any], tuple[Any, Any]],
    x: keras.KerasTensor,
    kernel: keras.KerasTensor,
) -> keras.KerasTensor:
    """`function(x, kernel)`, whose gradients by both are `gradients(x, kernel, dy)`."""
    import tensorflow as tf

    @tf.custom_gradient
    def differentiated(x: Any, w: Any) -> tuple[Any, Any]:
        return function(x, w), lambda dy: gradients(x, w, dy)

    # Keras' own conversion may leave it a variable, which has no gradient here.
    return differentiated(x, tf.convert_to_tensor(kernel))


def _expect_plain(
    layer: layers.Conv2D | layers.Conv2DTranspose, groups: int = 1, output_padding: object = None
) -> None:
    form = (layer.padding, *layer.dilation_rate, layer.data_format, groups, output_padding)
    if form != ("same", 1, 1, "channels_last", 1, None):
        raise ValueError(
            "expected padding='same', channels last, one group, no dilation and no output padding; "
            f"received {form}"
        )
