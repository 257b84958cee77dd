"""Strided convolutions that compute the gradient of their kernel as a convolution.

Along one axis, the gradient of `y[n, i, d] = sum over a, c of x[n, s*i + a - p, c] * w[a, c, d]` is

    dw[a, c, d] = sum over n, i of x[n, s*i + a - p, c] * dy[n, i, d],

itself a convolution: of c images with n channels by a kernel dy, from n to d channels, that is
dilated by s. In bfloat16 on a CPU TensorFlow's own operation for it takes 1.4 times as long. With
stride 1 and in float32, where that is the faster one, on a GPU, and on other backends, it is left
to them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def kernel_gradient(
    x: keras.KerasTensor, dy: keras.KerasTensor, size: int, stride: int
) -> keras.KerasTensor:
    """The gradient of the kernel of a convolution with SAME padding.

    Args:
        x: what is convolved, `[batch, height, width, in]`, height and width multiples of `stride`.
        dy: gradient of the result, `[batch, height / stride, width / stride, out]`.
        size: side of the kernel.
        stride: that of the convolution.

    Returns:
        `[size, size, in, out]`.
    """
    import tensorflow as tf

    total = max(size - stride, 0)
    padding = (total // 2, total - total // 2)
    images = ops.transpose(ops.pad(x, [(0, 0), padding, padding, (0, 0)]), (3, 1, 2, 0))
    kernel = ops.transpose(dy, (1, 2, 0, 3))
    # keras.ops dilates by cutting a batch up and putting it together again, half as fast.
    gradient = tf.nn.conv2d(images, kernel, 1, "VALID", dilations=stride)
    return ops.transpose(gradient[:, :size, :size], (1, 2, 0, 3))


@keras.saving.register_keras_serializable("deconv")
class StridedConv2D(layers.Conv2D):
    """`Conv2D` with SAME padding for maps that the stride divides; it trains faster on a CPU.

    Shapes: `[batch, height, width, channels]` to `[batch, height / stride, width / stride,
    filters]`.

    Raises:
        ValueError: (when built) padding, dilation, groups or layout are others, kernel or stride
            not square, or the stride does not divide the maps.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel `[size, size, channels, filters]` and the bias `[filters]`."""
        _expect_plain(self, groups=self.groups)
        if any(side is None or side % self.strides[0] for side in input_shape[1:3]):
            raise ValueError(
                f"expected maps that strides={self.strides} divide; received {input_shape=}"
            )
        super().build(input_shape)

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Convolves."""
        if not _gains(inputs, self.strides[0]):
            return super().convolution_op(inputs, kernel)
        import tensorflow as tf

        stride = self.strides[0]

        @tf.custom_gradient
        def convolved(x: Any, w: Any) -> tuple[Any, Any]:
            def gradients(dy: Any) -> tuple[Any, Any]:
                dx = ops.conv_transpose(dy, w, stride, padding="same")
                return dx, kernel_gradient(x, dy, w.shape[0], stride)

            return ops.conv(x, w, stride, padding="same"), gradients

        return convolved(inputs, tf.convert_to_tensor(kernel))


@keras.saving.register_keras_serializable("deconv")
class StridedConv2DTranspose(layers.Conv2DTranspose):
    """`Conv2DTranspose` with SAME padding; it trains faster on a CPU.

    Shapes: `[batch, rows, columns, channels]` to `[batch, rows * stride, columns * stride,
    filters]`.

    Raises:
        ValueError: (when built) padding, dilation or layout are others, or kernel or stride not
            square.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel `[size, size, filters, channels]` and the bias `[filters]`."""
        _expect_plain(self, output_padding=self.output_padding)
        super().build(input_shape)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Convolves."""
        if not _gains(inputs, self.strides[0]):
            return super().call(inputs)
        import tensorflow as tf

        stride = self.strides[0]

        @tf.custom_gradient
        def convolved(x: Any, w: Any) -> tuple[Any, Any]:
            def gradients(dy: Any) -> tuple[Any, Any]:
                # This layer is the gradient of a convolution's input, so dy and x change places.
                dx = ops.conv(dy, w, stride, padding="same")
                return dx, kernel_gradient(dy, x, w.shape[0], stride)

            return ops.conv_transpose(x, w, stride, padding="same"), gradients

        outputs = convolved(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)


def _gains(x: keras.KerasTensor, stride: int) -> bool:
    return (
        stride > 1
        and keras.backend.backend() == "tensorflow"
        and keras.backend.standardize_dtype(x.dtype) == "bfloat16"
        and not keras.distribution.list_devices("gpu")
    )


def _expect_plain(
    layer: layers.Conv2D | layers.Conv2DTranspose,
    groups: int = 1,
    output_padding: object = None,
) -> None:
    square = len(set(layer.kernel_size)) == len(set(layer.strides)) == 1
    form = (layer.padding, *layer.dilation_rate, layer.data_format, groups, output_padding)
    if not square or form != ("same", 1, 1, "channels_last", 1, None):
        raise ValueError(
            "expected padding='same', one group, channels last, no dilation, no output padding, "
            "and a square kernel and stride; "
            f"received kernel_size={layer.kernel_size}, strides={layer.strides}, {form}"
        )
