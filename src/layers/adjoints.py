"""Layers run backwards: each hands on what comes from above as the gradient of its layer would.

They share the trained weights, in float32, and have no biases: a linear layer's gradient has none.
Where a layer is `y = A x`, these are `A` transposed. Their networks are not saved; `deconvnet`
builds them anew.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from src.kernels import indexing, windows
from src.tensors import Size, Tensor


class _Backward(layers.Layer):
    """A layer of the way down; it computes in float32."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)


class Rectify(_Backward):
    """A rectifier on the way down, by one of three rules.

    Shapes: two alike, what comes from above and what the rectifier gave, to the same.

    Args:
        method: "saliency" lets through where the rectifier did, "deconvnet" what is positive,
            "guided" what is both.
    """

    def __init__(self, method: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.method = method

    def call(self, gradient: Tensor, rectified: Tensor) -> Tensor:
        """Returns what is let through."""
        if self.method != "saliency":
            gradient = ops.relu(gradient)
        if self.method != "deconvnet":
            gradient = ops.where(rectified > 0, gradient, ops.zeros_like(gradient))
        return gradient

    def compute_output_spec(
        self, gradient: keras.KerasTensor, rectified: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Returns the symbolic output."""
        return keras.KerasTensor(gradient.shape, "float32")


class DenseAdjoint(_Backward):
    """The product with a dense layer's transposed kernel: `[..., units]` to `[..., inputs]`."""

    def __init__(self, layer: layers.Dense, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = layer.kernel

    def call(self, gradient: Tensor) -> Tensor:
        """Multiplies."""
        return ops.matmul(gradient, ops.transpose(self.kernel))


class BatchNormalizationScale(_Backward):
    """Batch normalisation's scale, `gamma / sqrt(variance + epsilon)`, of the moving variance."""

    def __init__(self, layer: layers.BatchNormalization, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = layer.gamma if layer.scale else None
        self.variance, self.epsilon = layer.moving_variance, layer.epsilon

    def call(self, gradient: Tensor) -> Tensor:
        """Scales."""
        scale = ops.rsqrt(self.variance + self.epsilon)
        return gradient * (scale if self.gamma is None else scale * self.gamma)


class _Like(_Backward):
    """A layer that makes maps of the height, width and channels of others, `like`."""

    def compute_output_spec(self, *given: Any, like: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the symbolic output."""
        return keras.KerasTensor(like.shape, "float32")


class Conv2DAdjoint(_Like):
    """The transposed convolution with a convolution's kernel.

    Shapes: `[batch, rows, columns, filters]` and `[batch, height, width, channels]`, the
    convolution's input, to the latter.
    """

    def __init__(self, layer: layers.Conv2D, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel, self.strides, self.padding = layer.kernel, layer.strides, layer.padding
        self.dilation = layer.dilation_rate

    def call(self, gradient: Tensor, like: Tensor) -> Tensor:
        """Returns `full[p : p + size]` along each axis, p the convolution's leading padding."""
        full = ops.conv_transpose(
            gradient, self.kernel, self.strides, "valid", dilation_rate=self.dilation
        )
        # Beyond the last window there may be what the strides have left over: zeros.
        full = ops.pad(full, [(0, 0), *((0, stride) for stride in self.strides), (0, 0)])
        axes = zip(
            *(ops.shape(like)[1:3], self.kernel.shape[:2], self.strides, self.dilation), strict=True
        )
        down, across = (self._cut(*axis) for axis in axes)
        return full[:, down, across]

    def _cut(self, size: Size, kernel: int, stride: int, dilation: int) -> slice:
        lead = windows.along(size, (kernel - 1) * dilation + 1, stride, self.padding).lead
        return slice(lead, lead + size)


class Conv2DTransposeAdjoint(_Like):
    """The convolution with a transposed convolution's kernel.

    Shapes: `[batch, height, width, filters]` and `[batch, rows, columns, channels]`, the transposed
    convolution's input, to the latter.
    """

    def __init__(self, layer: layers.Conv2DTranspose, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel, self.strides, self.padding = layer.kernel, layer.strides, layer.padding
        self.dilation = layer.dilation_rate

    def call(self, gradient: Tensor, like: Tensor) -> Tensor:
        """Convolves what the transposed convolution has cropped, with zeros in its place."""
        pads, grid = [], zip(self.kernel.shape[:2], self.strides, self.dilation, strict=True)
        for kernel, stride, dilation in grid:
            extent = (kernel - 1) * dilation + 1
            lead = max(extent - stride, 0) // 2 if self.padding == "same" else 0
            pads.append((lead, extent))
        padded = ops.pad(gradient, [(0, 0), *pads, (0, 0)])
        maps = ops.conv(padded, self.kernel, self.strides, "valid", dilation_rate=self.dilation)
        rows, columns = ops.shape(like)[1:3]
        return maps[:, :rows, :columns]


class MaxPoolAdjoint(_Like):
    """Unpooling by the switches, adding up where windows overlap.

    It is the adjoint of max pooling, which `MaxUnpool2D` is not where one maximum wins several
    windows, as with 3x3 windows and stride 2: that layer assigns one of the values.

    Shapes: two of `[batch, rows, columns, channels]`, what comes from above and the pooling's
    indices, and `[batch, height, width, channels]`, the pooling's input, to the latter.
    """

    def call(self, gradient: Tensor, indices: Tensor, like: Tensor) -> Tensor:
        """Unpools."""
        return indexing.scatter_sum(gradient, indices, ops.shape(like)[1:])


class LayerAdjoint(_Backward):
    """The gradient of any layer, by automatic differentiation.

    For a layer that is linear or takes maxima it is the walk of `deconvnet` as well: padding,
    cropping, scaling, averages, upsampling, concatenation, unpooling.

    Shapes: a list of what comes from above and the layer's inputs, to a list of what goes on to
    those inputs that count.

    Args:
        node: the use of the layer in a functional model.
        inputs: those that count.
        linear: whether the layer's activation is left out, as `Rectify` stands for it.
    """

    def __init__(
        self, node: Any, inputs: list[keras.KerasTensor], linear: bool, **kwargs: Any
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self._linear = linear
        self.layer, self._arguments = node.operation, node.arguments
        self._ids = [id(tensor) for tensor in node.input_tensors]
        self._counted = [self._ids.index(id(tensor)) for tensor in inputs]

    def call(self, given: list[Tensor]) -> list[Tensor]:
        """Returns the gradients."""
        gradient, *inputs = given

        def forward(*counted: Tensor) -> Tensor:
            values = dict(zip(self._ids, inputs, strict=True))
            values |= {self._ids[at]: x for at, x in zip(self._counted, counted, strict=True)}
            args, kwargs = self._arguments.fill_in(values)
            return keras.tree.flatten(self._run(*args, **kwargs))[0]

        parts = _gradients(forward, [inputs[at] for at in self._counted], gradient)
        return [ops.cast(part, "float32") for part in parts]

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if not self._linear:
            return self.layer(*args, **kwargs)
        activation = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer(*args, **kwargs)
        finally:
            self.layer.activation = activation

    def compute_output_spec(self, given: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
        """Returns the symbolic outputs."""
        return [keras.KerasTensor(given[1 + at].shape, "float32") for at in self._counted]


def _gradients(forward: Any, inputs: list[Tensor], gradient: Tensor) -> list[Tensor]:
    if keras.backend.backend() == "jax":
        import jax

        output, back = jax.vjp(forward, *inputs)
        return list(back(ops.cast(gradient, output.dtype)))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = forward(*inputs)
    return tape.gradient(
        output,
        inputs,
        ops.cast(gradient, output.dtype),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
