"""LeNet-5's own layers, as published.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from src.tensors import Tensor

# Table I of LeCun, Bottou, Bengio and Haffner (1998): for each of the 16 maps of C3, the maps of
# S2 that it sees.
C3_TABLE = [
    *[[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]],
    *[[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]],
    *[[0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]],
    [0, 1, 2, 3, 4, 5],
]


@keras.saving.register_keras_serializable("deconv")
class Subsampling2D(layers.Layer):
    """Non-overlapping 2x2 sums, times a coefficient a map, plus a bias a map (section II-B).

    Shapes: `[batch, height, width, channels]` to `[batch, height/2, width/2, channels]`.

    Example:
        >>> x = np.array([[1, 2], [3, 6]], "float32").reshape(1, 2, 2, 1)
        >>> float(Subsampling2D()(x)[0, 0, 0, 0])
        3.0
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates one coefficient and one bias a map: the mean of the window to begin with."""
        channels = (input_shape[-1],)
        self.coefficient = self.add_weight(
            name="coefficient", shape=channels, initializer=keras.initializers.Constant(0.25)
        )
        self.bias = self.add_weight(name="bias", shape=channels, initializer="zeros")

    def call(self, x: Tensor) -> Tensor:
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

    Example:
        >>> c3 = SparseConv2D(C3_TABLE)
        >>> tuple(c3(np.zeros((1, 14, 14, 6), "float32")).shape), c3.count_params()
        ((1, 10, 10, 16), 1516)
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

    def call(self, x: Tensor) -> Tensor:
        """Convolves `x` with the connected kernels."""
        padded = ops.pad(self.kernel, [[0, 0], [0, 0], [1, 0]])
        kernel = ops.take(padded, self._slots, axis=-1)
        return ops.conv(x, kernel, strides=1, padding="valid") + self.bias

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "table": self.table, "kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable("deconv")
class EuclideanRbf(layers.Layer):
    """Euclidean radial basis functions with fixed centres (equation 7), negated to be logits.

    Softmax cross entropy over minus the squared distances is the paper's discriminative criterion
    (equation 9) without its constant `e^-j`.

    Shapes: `[batch, 84]` to `[batch, classes]`, the minus squared distances to the centres.

    Args:
        centres: codes of +-1, `[classes][features]`.

    Example:
        >>> layer = EuclideanRbf([[1, 1], [1, -1]])
        >>> np.array(layer(np.array([[1, 0.5]], "float32"))).tolist()
        [[-0.25, -2.25]]
    """

    def __init__(self, centres: list[list[float]], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.centres = [list(row) for row in centres]

    def call(self, x: Tensor) -> Tensor:
        """Measures minus the squared distance of `x` to each centre."""
        centres = ops.convert_to_tensor(self.centres, dtype=x.dtype)
        return -ops.sum((x[:, None, :] - centres) ** 2, axis=-1)

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "centres": self.centres}
