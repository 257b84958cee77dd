"""Upsampling layers, for maps `[batch, height, width, channels]`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from src.arithmetic import sizes
from src.kernels.depth_to_space import depth_to_space, subpixel_kernel
from src.layers.arguments import expect_padding, pair
from src.layers.initializers import Bilinear
from src.tensors import Tensor

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("deconv")
class DepthwiseConv2DTranspose(keras.layers.Layer):
    """Transposed convolution of each channel with its own kernel, bilinear to begin with.

    For upsampling the scores of many classes, where a dense kernel is zero but for its diagonal.
    No zeros are stuffed in between the inputs: the full result at every `stride`-th pixel is a
    convolution with every `stride`-th weight, `full[q * stride + r] = sum over t of x[q - t] *
    w[t * stride + r]`.

    Shapes: `[batch, height, width, channels]` to the sizes of `Conv2DTranspose`: SAME
    `height * stride`, VALID `(height - 1) * stride + max(kernel, stride)`. The kernel is
    `[height, width, channels]`; there is no bias.

    Args:
        kernel_size: height and width of the kernels, or one number for both.
        strides: growth of the maps, vertical and horizontal, or one number for both.
        padding: "valid" or "same".

    Raises:
        ValueError: an argument is none of these.

    Example:
        >>> x = np.ones((1, 3, 3, 2), "float32")
        >>> y = np.array(DepthwiseConv2DTranspose(4, 2)(x))
        >>> y.shape, y[0, 2, :, 0].tolist()
        ((1, 6, 6, 2), [0.75, 1.0, 1.0, 1.0, 1.0, 0.75])
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        padding: str = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.strides = pair("strides", strides)
        self.padding = expect_padding(padding)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Creates the kernel."""
        self.kernel = self.add_weight(
            name="kernel", shape=(*self.kernel_size, input_shape[-1]), initializer=Bilinear()
        )

    def call(self, x: Tensor) -> Tensor:
        """Returns the upsampled maps."""
        grid = list(zip(self.kernel_size, self.strides, strict=True))
        taps = [-(-kernel // stride) for kernel, stride in grid]
        ends_y, ends_x = ((0, tap * s - k) for tap, (k, s) in zip(taps, grid, strict=True))
        kernel = subpixel_kernel(self.kernel, (ends_y, ends_x), self.strides)
        x = ops.pad(x, [(0, 0), *((tap - 1, tap - 1) for tap in taps), (0, 0)])
        maps = ops.depthwise_conv(x, kernel, padding="valid")
        full = depth_to_space(maps, self.kernel.shape[-1], self.strides)
        down, across = (self._crop(*axis) for axis in grid)
        return full[:, down, across]

    def _crop(self, kernel: int, stride: int) -> slice:
        """Where the output lies in the full result, `surplus` longer than the strided input."""
        surplus = (kernel - 1) // stride * stride
        if self.padding == "valid":
            return slice(0, max(kernel, stride) - stride - surplus or None)
        lead = max(kernel - stride, 0) // 2
        return slice(lead, lead - surplus or None)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        sides = (
            None if n is None else sizes.conv_transpose_output_size(n, k, s, self.padding)
            for n, k, s in zip(input_shape[1:3], self.kernel_size, self.strides, strict=True)
        )
        return (input_shape[0], *sides, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the layer."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
        }


@keras.saving.register_keras_serializable("deconv")
class CropLike2D(keras.layers.Layer):
    """Cuts maps to the height and width of others, off the end.

    What was padded to whole windows, SAME padding last, comes back in place: pixel 0 stays pixel
    0, whatever the size, and also where the size is known only when the graph runs.

    Shapes: `[batch, rows, columns, channels]` and `[batch, height, width, any]` to `[batch, height,
    width, channels]`.

    Raises:
        ValueError: (when called) the maps are smaller than the others.

    Example:
        >>> tuple(CropLike2D()(np.zeros((1, 48, 64, 3)), like=np.zeros((1, 45, 60, 1))).shape)
        (1, 45, 60, 3)
    """

    def call(self, x: Tensor, like: Tensor) -> Tensor:
        """Returns the cropped maps."""
        batch, _, _, channels = ops.shape(x)
        # In TensorFlow the gradient of indexing takes ten times as long as that of a slice.
        return ops.slice(x, (0, 0, 0, 0), (batch, *ops.shape(like)[1:3], channels))

    def compute_output_spec(
        self, x: keras.KerasTensor, like: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Returns the symbolic output."""
        for have, want in zip(x.shape[1:3], like.shape[1:3], strict=True):
            if have is not None and want is not None and have < want:
                raise ValueError(
                    f"expected maps of at least {tuple(like.shape[1:3])}; "
                    f"received {tuple(x.shape[1:3])}"
                )
        return keras.KerasTensor((x.shape[0], *like.shape[1:3], x.shape[3]), self.compute_dtype)
