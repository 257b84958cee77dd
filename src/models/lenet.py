"""LeNet-5 as published and in its modern form.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import layers, ops

from src import config
from src.arithmetic.sizes import C3_TABLE
from src.kernels.space_to_depth import kernel_between_phases, phases, pooling_between_phases
from src.layers import bitmaps

_AMPLITUDE, _SLOPE = 1.7159, 2 / 3


def scaled_tanh(x: keras.KerasTensor) -> keras.KerasTensor:
    """The paper's squashing function, 1.7159 tanh(2x/3), which maps +-1 to +-1 (appendix A)."""
    return _tanh(x, _SLOPE, _AMPLITUDE)


def _tanh(x: keras.KerasTensor, slope: float = 1, amplitude: float = 1) -> keras.KerasTensor:
    """`amplitude * tanh(slope * x)` in float32.

    On a processor this takes three fifths of the time of a tanh and its gradient in bfloat16.
    """
    return ops.cast(amplitude * ops.tanh(slope * ops.cast(x, "float32")), x.dtype)


@keras.saving.register_keras_serializable("deconv")
class Subsampling2D(layers.Layer):
    """Non-overlapping 2x2 sums, times a coefficient a map, plus a bias a map (section II-B).

    Shapes: `[batch, height, width, channels]` to `[batch, height/2, width/2, channels]`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates one coefficient and one bias a map: the mean of the window to begin with."""
        channels = (input_shape[-1],)
        self.coefficient = self.add_weight(
            name="coefficient", shape=channels, initializer=keras.initializers.Constant(0.25)
        )
        self.bias = self.add_weight(name="bias", shape=channels, initializer="zeros")

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Subsamples `x`."""
        total = 4 * ops.average_pool(x, 2, strides=2, padding="valid")
        return total * self.coefficient + self.bias


@keras.saving.register_keras_serializable("deconv")
class SparseConv2D(layers.Layer):
    """A VALID convolution in which each output map sees its own subset of the input maps.

    Only the connected kernels exist as weights, so the parameter count is the paper's: 1,516
    for C3 with its Table I.

    Shapes: `[batch, height, width, inputs]` to
    `[batch, height - kernel_size + 1, width - kernel_size + 1, outputs]`.

    Args:
        table: for each output map, the indices of the input maps that it sees.
        kernel_size: side of the kernels in pixels.
    """

    def __init__(self, table: list[list[int]], kernel_size: int = 5, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.table = [list(row) for row in table]
        self.kernel_size = kernel_size

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the connected kernels `[kernel, kernel, connections]` and the biases.

        Raises:
            ValueError: if the table names an input map that there is not.
        """
        channels = input_shape[-1]
        if channels is None or max(map(max, self.table)) >= channels:
            raise ValueError(
                f"expected a table of input maps below channels={channels}; "
                f"received table={self.table}"
            )
        connections = sum(map(len, self.table))
        fan_in = self.kernel_size**2 * connections / len(self.table)
        limit = (3 / fan_in) ** 0.5
        size = self.kernel_size
        self.kernel = self.add_weight(
            name="kernel",
            shape=(size, size, connections),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        self.bias = self.add_weight(name="bias", shape=(len(self.table),), initializer="zeros")
        # Slot 0 of the padded kernel is a zero, where an output map does not see an input map.
        slots = np.zeros((channels, len(self.table)), dtype="int32")
        pairs = [(row, column) for column, rows in enumerate(self.table) for row in rows]
        for slot, (row, column) in enumerate(pairs, start=1):
            slots[row, column] = slot
        self._slots = slots

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Convolves `x` with the connected kernels."""
        padded = ops.pad(self.kernel, [[0, 0], [0, 0], [1, 0]])
        kernel = ops.take(padded, self._slots, axis=-1)
        return ops.conv(x, kernel, strides=1, padding="valid") + self.bias

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "table": self.table, "kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable("deconv")
class WholeConv2D(layers.Conv2D):
    """A VALID convolution whose kernel is as large as its input: a matrix product, done as one.

    Shapes: `[batch, height, width, inputs]` with a kernel of height x width to
    `[batch, 1, 1, outputs]`.
    """

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Multiplies every input with the whole kernel.

        Raises:
            ValueError: the input is of another size than the kernel.
        """
        if tuple(inputs.shape[1:3]) != self.kernel_size:
            raise ValueError(
                f"expected an input of {self.kernel_size}, the kernel's size; "
                f"received {tuple(inputs.shape[1:3])}"
            )
        rows = ops.reshape(inputs, (-1, math.prod(inputs.shape[1:])))
        outputs = ops.matmul(rows, ops.reshape(kernel, (-1, self.filters)))
        return ops.reshape(outputs, (-1, 1, 1, self.filters))


@keras.saving.register_keras_serializable("deconv")
class EuclideanRbf(layers.Layer):
    """Euclidean radial basis functions with fixed centres (equation 7), negated to be logits.

    Softmax cross entropy over minus the squared distances is the paper's discriminative criterion
    (equation 9) without its constant `e^-j`.

    Shapes: `[batch, 84]` to `[batch, classes]`, the minus squared distances to the centres.

    Args:
        centres: codes of +-1, `[classes][features]`.
    """

    def __init__(self, centres: list[list[float]], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.centres = [list(row) for row in centres]

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Measures minus the squared distance of `x` to each centre."""
        centres = ops.convert_to_tensor(self.centres, dtype=x.dtype)
        return -ops.sum((x[:, None, :] - centres) ** 2, axis=-1)

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "centres": self.centres}


@keras.saving.register_keras_serializable("deconv")
class PhasedLeNet5(keras.Model):
    """A functional model of the modern LeNet-5 that computes C1 to S4 between phases of the maps.

    Its layers, weights and, but for rounding, values are those of the functional model; on two
    processors it trains 1.3 times as fast. C1's 6 maps of 28x28 are 96 of 7x7, its product one of
    8x8 windows with a matrix. The squashing's two factors go into what comes before and after.
    """

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None, mask: None = None
    ) -> keras.KerasTensor:
        """Returns the logits of a batch."""
        if isinstance(inputs, keras.KerasTensor):
            return super().call(inputs, training=training, mask=mask)
        layer = self.get_layer
        x = layer("normalise")(layer("pad")(inputs) if inputs.shape[1] == 28 else inputs)
        x = phases(x, 4)
        windows = ops.concatenate([x[:, :-1, :-1], x[:, :-1, 1:], x[:, 1:, :-1], x[:, 1:, 1:]], -1)
        x = _squashed_and_pooled(windows, layer("c1"), 4, 1, windows=True)
        x = _squashed_and_pooled(x, layer("c3"), 2, _AMPLITUDE)
        x = scaled_tanh(layer("c5")(_AMPLITUDE * x))
        x = scaled_tanh(layer("f6")(layer("flatten")(x)))
        return layer("output")(x)


def _squashed_and_pooled(
    x: keras.KerasTensor,
    convolution: layers.Conv2D,
    stride: int,
    scale: float,
    windows: bool = False,
) -> keras.KerasTensor:
    """Convolves, squashes, averages 2x2 pixels and squashes again, but for the last factor.

    Args:
        x: phases, or windows of them.
        convolution: whose weights are used.
        stride: of the phases.
        scale: what `x` lacks.
        windows: whether the channels of `x` are windows of phases, as large as the kernel.
    """
    kernel = kernel_between_phases(scale * _SLOPE * convolution.kernel, stride)
    if windows:
        kernel = ops.reshape(kernel, (1, 1, x.shape[-1], -1))
    x = ops.conv(x, kernel, padding="valid")
    x = _tanh(x + ops.tile(_SLOPE * convolution.bias, stride * stride))
    pooling = _AMPLITUDE * _SLOPE * pooling_between_phases(stride, convolution.filters)
    return _tanh(ops.matmul(x, ops.convert_to_tensor(pooling, dtype=x.dtype)))


def build_lenet5(
    model: config.LeNet5, input_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Builds LeNet-5, which returns logits for images `[batch, height, width, 1]` in [0, 1].

    Args:
        model: its options.
        input_shape: `(height, width, 1)`; 28x28 is padded to the 32x32 of the paper.
        classes: number of logits; 10 for the Euclidean output, which has bitmaps for digits only.

    Raises:
        ValueError: if the input is neither 28x28x1 nor 32x32x1.
    """
    if input_shape not in ((28, 28, 1), (32, 32, 1)):
        raise ValueError(f"expected 28x28x1 or 32x32x1 images; received {input_shape=}")
    sparse = model.c3 == "sparse"
    output = model.output or ("rbf" if sparse else "softmax")
    x = inputs = keras.Input(input_shape, name="image")
    if input_shape[0] == 28:
        x = layers.ZeroPadding2D(2, name="pad")(x)
    # Background -0.1 and ink 1.175 make the pixels' mean about 0 and variance about 1 (II-B).
    x = layers.Rescaling(1.275, offset=-0.1, name="normalise")(x)

    def squashed(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Activation(scaled_tanh)(x)

    def subsampled(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        layer = Subsampling2D(name=name) if sparse else layers.AveragePooling2D(2, name=name)
        return squashed(layer(x))

    x = subsampled(squashed(layers.Conv2D(6, 5, name="c1")(x)), "s2")
    c3 = SparseConv2D(C3_TABLE, name="c3") if sparse else layers.Conv2D(16, 5, name="c3")
    x = subsampled(squashed(c3(x)), "s4")
    x = squashed(WholeConv2D(120, 5, name="c5")(x))
    x = squashed(layers.Dense(84, name="f6")(layers.Flatten(name="flatten")(x)))
    if output == "rbf":
        logits = EuclideanRbf(bitmaps.codes(), dtype="float32", name="output")(x)
    else:
        logits = layers.Dense(classes, dtype="float32", name="output")(x)
    kind = keras.Model if sparse else PhasedLeNet5
    return kind(inputs, logits, name="lenet5")
