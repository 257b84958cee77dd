"""LeNet-5 from C1 to S4 after space to depth, with average pooling and its scaled tanh.

C1's 6 maps of 28x28 are 96 of 7x7, its product one of 8x8 windows with a matrix. The two factors
of the scaled tanh go into what comes before and after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import activations, layers, ops

from src.kernels.activations import AMPLITUDE, SLOPE, scaled_tanh
from src.kernels.space_to_depth import blocked_kernel, blocked_pooling, space_to_depth
from src.tensors import Tensor

_STAGE = (layers.Conv2D, layers.Activation, layers.AveragePooling2D, layers.Activation)
KINDS = 2 * _STAGE
_CONVOLUTION = {
    "kernel_size": (5, 5),
    "strides": (1, 1),
    "padding": "valid",
    "dilation_rate": (1, 1),
    "groups": 1,
    "data_format": "channels_last",
    "use_bias": True,
    "activation": activations.linear,
}
_POOLING = {
    "pool_size": (2, 2),
    "strides": (2, 2),
    "padding": "valid",
    "data_format": "channels_last",
}


def matches(chain: Sequence[layers.Layer], shape: tuple[int | None, ...]) -> bool:
    """Whether layers of the classes `KINDS`, on maps of `shape`, are C1 to S4 of LeNet-5."""
    c1, _, s2, _, c3, _, s4, _ = chain
    return (
        tuple(shape[1:]) == (32, 32, 1)
        and (c1.filters, c3.filters) == (6, 16)
        and all(_configured(layer, _CONVOLUTION) for layer in (c1, c3))
        and all(_configured(layer, _POOLING) for layer in (s2, s4))
        and all(layer.activation is scaled_tanh for layer in chain[1::2])
    )


def c1_to_s4(chain: Sequence[layers.Layer], images: Tensor) -> Tensor:
    """What S4 and its scaled tanh make of images `[batch, 32, 32, 1]`: `[batch, 5, 5, 16]`."""
    c1, c3 = chain[0], chain[4]
    x = space_to_depth(ops.cast(images, c1.compute_dtype), 4)
    windows = ops.concatenate([x[:, :-1, :-1], x[:, :-1, 1:], x[:, 1:, :-1], x[:, 1:, 1:]], -1)
    x = _convolved_and_pooled(windows, c1, 4, 1, windows=True)
    return AMPLITUDE * _convolved_and_pooled(x, c3, 2, AMPLITUDE)


def _convolved_and_pooled(
    x: Tensor, convolution: layers.Conv2D, stride: int, scale: float, windows: bool = False
) -> Tensor:
    """Convolves, averages 2x2 pixels, with a scaled tanh after each but for the last factor.

    Args:
        x: maps after space to depth, or windows of them.
        convolution: whose weights are used.
        stride: side of the blocks.
        scale: what `x` lacks.
        windows: whether the channels of `x` are windows of blocks, as large as the kernel.
    """
    kernel = ops.cast(convolution.kernel, convolution.compute_dtype)
    bias = ops.cast(convolution.bias, convolution.compute_dtype)
    kernel = blocked_kernel(scale * SLOPE * kernel, stride)
    if windows:
        kernel = ops.reshape(kernel, (1, 1, x.shape[-1], -1))
    x = ops.conv(x, kernel, padding="valid")
    x = _tanh(x + ops.tile(SLOPE * bias, stride * stride))
    pooling = AMPLITUDE * SLOPE * blocked_pooling(stride, convolution.filters)
    return _tanh(ops.matmul(x, ops.convert_to_tensor(pooling, dtype=x.dtype)))


def _tanh(x: Tensor) -> Tensor:
    return ops.cast(ops.tanh(ops.cast(x, "float32")), x.dtype)


def _configured(layer: layers.Layer, options: Mapping[str, object]) -> bool:
    return all(getattr(layer, name) == value for name, value in options.items())
