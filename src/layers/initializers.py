"""Kernels of transposed convolutions that begin as bilinear upsampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


@keras.saving.register_keras_serializable("deconv")
class Bilinear(keras.initializers.Initializer):
    """Starts a transposed convolution as bilinear upsampling of each channel by itself.

    With stride `s`, kernel size `2 * s - s % 2` and SAME padding, the layer then equals
    `UpSampling2D(s, interpolation="bilinear")` but for the outer `s // 2` pixels, where that one
    repeats the edge and this one fades to zero. The kernel is a tent of half-width
    `(size + 1) // 2` about its middle `(size - 1) / 2`, for each axis, as in Long, Shelhamer and
    Darrell, "Fully convolutional networks for semantic segmentation" (2015, section 3.3).

    Kernel shapes: `[height, width, out, in]`, of which only the diagonal is not zero if `out` and
    `in` are equal; else each output channel upsamples a mixture of the input channels, with weights
    drawn as Glorot and Bengio 2010 have it (equation 16);
    or `[height, width, channels]`, the kernel of a `DepthwiseConv2DTranspose`, which has no zeros
    to hold: 21 classes and a 64x64 kernel make 86,016 weights rather than 1,806,336.

    Args:
        seed: of the mixtures; None to draw another one each time.

    Example:
        >>> np.array(Bilinear()((4, 4, 1, 1)))[:, :, 0, 0].tolist()[1]
        [0.1875, 0.5625, 0.5625, 0.1875]
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._mixtures = keras.initializers.GlorotUniform(seed)

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the initializer."""
        return {"seed": self.seed}

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Returns the kernel.

        Args:
            shape: shape of the kernel.
            dtype: dtype of the kernel, Keras' `floatx` if None.

        Raises:
            ValueError: the shape has not three or four dimensions.
        """
        if len(shape) not in (3, 4):
            raise ValueError(
                f"expected a kernel [height, width, out, in] or [height, width, channels]; "
                f"received {shape=}"
            )
        tent = np.outer(_tent(shape[0]), _tent(shape[1]))
        channels: np.ndarray
        if len(shape) == 3:
            channels = np.ones(shape[2])
        elif shape[2] == shape[3]:
            channels = np.eye(shape[2])
        else:
            channels = keras.ops.convert_to_numpy(self._mixtures(shape[2:], "float32"))
        kernel = np.multiply.outer(tent, channels)
        return keras.ops.convert_to_tensor(kernel, dtype=dtype or keras.config.floatx())


def _tent(size: int) -> np.ndarray:
    return 1 - np.abs(np.arange(size) - (size - 1) / 2) / ((size + 1) // 2)
