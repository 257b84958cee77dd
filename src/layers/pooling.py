"""Pooling and unpooling layers, for maps `[batch, height, width, channels]`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from src.arithmetic import sizes
from src.kernels import indexing, pooling
from src.layers.arguments import expect_padding, pair
from src.tensors import Tensor

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("deconv")
class MaxPoolWithArgmax2D(keras.layers.Layer):
    """Max pooling that also says where each maximum was.

    Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014, section 2.1),
    call the indices switches. The first of equals wins, in row-major order; NaN is larger than
    any number; padding never wins.

    Shapes: `[batch, height, width, channels]` to a pair of `[batch, rows, columns, channels]`:
    values in the layer's dtype, and integer indices `(row * width + column) * channels + channel`
    within each image.

    Args:
        pool_size: height and width of a window, or one number for both.
        strides: distance between windows, or one number for both; `pool_size` if None.
        padding: "valid" or "same".

    Raises:
        ValueError: an argument is none of these, or (when called) no window fits.

    Example:
        >>> x = np.array([[1, 5, 2], [4, 3, 6]], "float32").reshape(1, 2, 3, 1)
        >>> values, indices = MaxPoolWithArgmax2D(2, strides=1)(x)
        >>> np.array(values).ravel().tolist(), np.array(indices).ravel().tolist()
        ([5.0, 6.0], [1, 5])
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = pair("pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair("strides", strides)
        self.padding = expect_padding(padding)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns values and indices."""
        return pooling.max_pool_with_argmax(x, self.pool_size, self.strides, self.padding)

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """Returns the shapes of values and indices, which are the same."""
        sides = (
            None if size is None else sizes.conv_output_size(size, *window, self.padding)
            for size, window in zip(
                input_shape[1:3], zip(self.pool_size, self.strides, strict=True), strict=True
            )
        )
        shape = (input_shape[0], *sides, input_shape[3])
        return shape, shape

    def compute_output_spec(self, x: keras.KerasTensor) -> tuple[Any, Any]:
        """Returns the symbolic values and indices."""
        shape, _ = self.compute_output_shape(x.shape)
        indices = keras.KerasTensor(shape, indexing.dtype(x.shape[1:]))
        return keras.KerasTensor(shape, self.compute_dtype), indices

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


@keras.saving.register_keras_serializable("deconv")
class MaxUnpool2D(keras.layers.Layer):
    """Puts values back where a `MaxPoolWithArgmax2D` found its maxima, in maps of zeros.

    `MaxUnpool2D()(values, indices, like=x)`: the values may be any, the indices are the pooling's,
    and the spatial size is that of `like`, usually the pooling's input, so that odd and unknown
    sizes come back exactly. Where windows overlap and two values have one index, the last in
    row-major order is assigned (PyTorch leaves open which); they are not added. The gradient of a
    value is that of the output at its index, for both of the two, as in PyTorch.

    Shapes: two of `[batch, rows, columns, channels]` and `[batch, height, width, any]` to
    `[batch, height, width, channels]`.

    Raises:
        ValueError: (when called) the shapes of values and indices differ, or an index lies outside
            its image. In a TensorFlow graph the latter is an `InvalidArgumentError` when the graph
            runs; code that XLA compiles as a whole drops such a value.

    Example:
        >>> x = np.array([[1, 5, 2], [4, 3, 6]], "float32").reshape(1, 2, 3, 1)
        >>> values, indices = MaxPoolWithArgmax2D((2, 1))(x)
        >>> np.array(MaxUnpool2D()(values, indices, like=x)).reshape(2, 3).tolist()
        [[0.0, 5.0, 0.0], [4.0, 0.0, 6.0]]
    """

    def call(self, values: Tensor, indices: Tensor, like: Tensor) -> Tensor:
        """Returns the unpooled maps."""
        height, width = ops.shape(like)[1:3]
        return pooling.max_unpool(values, indices, height, width)

    def compute_output_spec(
        self, values: keras.KerasTensor, indices: keras.KerasTensor, like: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Returns the symbolic output."""
        pooling.expect_same_shape(values, indices)
        shape = (values.shape[0], *like.shape[1:3], values.shape[3])
        return keras.KerasTensor(shape, self.compute_dtype)


@keras.saving.register_keras_serializable("deconv")
class AverageUnpool2D(keras.layers.Layer):
    """Gives every element of a window the window's value, so that average pooling gives it back.

    `AverageUnpool2D(2)(x, like=y)` makes the spatial size of `y`, one that pools to that of `x`
    with windows of `pool_size` side by side. Where SAME pooling had padding, it is cropped; what
    VALID pooling left over is zero. Without `like` all windows are full.

    Shapes: `[batch, rows, columns, channels]` to `[batch, height, width, channels]`.

    Args:
        pool_size: height and width of a window, or one number for both.

    Raises:
        ValueError: `pool_size` is not positive, or (when called) no such pooling exists.

    Example:
        >>> x = np.array([[1, 2]], "float32").reshape(1, 1, 2, 1)
        >>> np.array(AverageUnpool2D(2)(x)).reshape(2, 4).tolist()
        [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """

    def __init__(self, pool_size: int | tuple[int, int] = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pair("pool_size", pool_size)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """Returns the unpooled maps."""
        height, width = (None, None) if like is None else ops.shape(like)[1:3]
        return pooling.average_unpool(x, self.pool_size, height, width)

    def compute_output_spec(
        self, x: keras.KerasTensor, like: keras.KerasTensor | None = None
    ) -> keras.KerasTensor:
        """Returns the symbolic output."""
        sides = []
        for axis, kernel in enumerate(self.pool_size, start=1):
            count = x.shape[axis]
            if like is not None:
                size = like.shape[axis]
                pooling.expect_pooled(size, kernel, count)
            else:
                size = None if count is None else count * kernel
            sides.append(size)
        return keras.KerasTensor((x.shape[0], *sides, x.shape[3]), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "pool_size": self.pool_size}
