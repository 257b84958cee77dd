"""The operators as their definitions read: plain loops over NumPy arrays, slow on purpose.

The oracle of the tests. It shares no code with what it checks, and computes in the dtype of its
arguments, so integers stay exact. Maps are `[batch, height, width, channels]`, kernels
`[height, width, in, out]` for a convolution and `[height, width, out, in]` for a transposed one;
strides and sizes are `(vertical, horizontal)` or one number for both, as in Keras, and `padding` is
"valid" or "same" as in TensorFlow.
"""

from __future__ import annotations

import numpy as np

Sides = int | tuple[int, int]


def conv2d(x: np.ndarray, w: np.ndarray, strides: Sides, padding: str) -> np.ndarray:
    """Cross-correlates `x` with `w`, which is what networks call a convolution.

    `y[o] = sum over j of x[o * stride + j - pad] * w[j]`, zeros outside the picture.
    """
    strides = _both(strides)
    batch, height, width, _ = x.shape
    kernel_height, kernel_width, _, channels = w.shape
    rows, top = _outputs(height, kernel_height, strides[0], padding)
    columns, left = _outputs(width, kernel_width, strides[1], padding)
    y = np.zeros((batch, rows, columns, channels), np.result_type(x, w))
    for row, column in np.ndindex(rows, columns):
        for i, j in np.ndindex(kernel_height, kernel_width):
            r, c = row * strides[0] + i - top, column * strides[1] + j - left
            if 0 <= r < height and 0 <= c < width:
                y[:, row, column] += x[:, r, c] @ w[i, j]
    return y


def conv2d_transpose(
    x: np.ndarray,
    w: np.ndarray,
    strides: Sides,
    padding: str,
    output_size: Sides | None = None,
) -> np.ndarray:
    """The transpose (adjoint) of `conv2d`, scattering each input through the kernel.

    `full[i * stride + j] += x[i] * w[j]`, and the output is `full` without the first `pad`.

    Args:
        x: input maps.
        w: kernel `[height, width, out, in]`.
        strides: growth of the maps.
        padding: that of the convolution.
        output_size: height and width; the largest that `conv2d` maps to that of `x` if None.

    Raises:
        ValueError: no convolution maps `output_size` to the size of `x`.
    """
    batch, height, width, _ = x.shape
    kernel_height, kernel_width, channels, _ = w.shape
    strides = _both(strides)
    if output_size is None:
        output_size = (
            _largest(height, kernel_height, strides[0], padding),
            _largest(width, kernel_width, strides[1], padding),
        )
    output_size = _both(output_size)
    top = _crop(height, kernel_height, strides[0], padding, output_size[0])
    left = _crop(width, kernel_width, strides[1], padding, output_size[1])
    y = np.zeros((batch, *output_size, channels), np.result_type(x, w))
    for row, column in np.ndindex(height, width):
        for i, j in np.ndindex(kernel_height, kernel_width):
            r, c = row * strides[0] + i - top, column * strides[1] + j - left
            if 0 <= r < output_size[0] and 0 <= c < output_size[1]:
                y[:, r, c] += x[:, row, column] @ w[i, j].T
    return y


def conv2d_transpose_by_zero_stuffing(
    x: np.ndarray,
    w: np.ndarray,
    strides: Sides,
    padding: str,
    output_size: Sides,
) -> np.ndarray:
    """The transposed convolution as an ordinary one, on a picture with zeros between its pixels.

    `stride - 1` zeros go between neighbours, the kernel is turned by 180 degrees, and the leading
    padding is `kernel - 1 - pad`, where `pad` is the leading padding of the convolution. Mirroring
    the padding of a stride-1 convolution instead is wrong for some kernels and strides.

    Args:
        x: input maps.
        w: kernel `[height, width, out, in]`.
        strides: growth of the maps.
        padding: that of the convolution.
        output_size: height and width.
    """
    strides, output_size = _both(strides), _both(output_size)
    batch, height, width, inputs = x.shape
    kernel_height, kernel_width, _, _ = w.shape
    top = kernel_height - 1 - _crop(height, kernel_height, strides[0], padding, output_size[0])
    left = kernel_width - 1 - _crop(width, kernel_width, strides[1], padding, output_size[1])
    # A VALID convolution makes `output_size` of exactly this frame.
    frame = (output_size[0] + kernel_height - 1, output_size[1] + kernel_width - 1)
    stuffed = np.zeros((batch, *frame, inputs), x.dtype)
    for row, column in np.ndindex(height, width):
        r, c = top + row * strides[0], left + column * strides[1]
        if r < frame[0] and c < frame[1]:
            stuffed[:, r, c] = x[:, row, column]
    return conv2d(stuffed, w[::-1, ::-1].transpose(0, 1, 3, 2), (1, 1), "valid")


def max_pool_with_argmax(
    x: np.ndarray, pool_size: Sides, strides: Sides, padding: str
) -> tuple[np.ndarray, np.ndarray]:
    """The largest element of each window and where it is.

    The index is `(row * width + column) * channels + channel` within the picture. The first of
    equals wins, in row-major order; NaN is larger than any number; padding is no element.
    """
    pool_size, strides = _both(pool_size), _both(strides)
    batch, height, width, channels = x.shape
    rows, top = _outputs(height, pool_size[0], strides[0], padding)
    columns, left = _outputs(width, pool_size[1], strides[1], padding)
    values = np.zeros((batch, rows, columns, channels), x.dtype)
    indices = np.zeros(values.shape, np.int64)
    for b, row, column, channel in np.ndindex(values.shape):
        best, where = None, -1
        for i, j in np.ndindex(pool_size):
            r, c = row * strides[0] + i - top, column * strides[1] + j - left
            if not (0 <= r < height and 0 <= c < width):
                continue
            here = x[b, r, c, channel]
            if best is None or here > best or (np.isnan(here) and not np.isnan(best)):
                best, where = here, (r * width + c) * channels + channel
        values[b, row, column, channel] = best
        indices[b, row, column, channel] = where
    return values, indices


def max_unpool(values: np.ndarray, indices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Puts each value where its index says in a picture of zeros; a later one replaces.

    Raises:
        ValueError: an index lies outside the picture.
    """
    batch, _, _, channels = values.shape
    y = np.zeros((batch, height, width, channels), values.dtype)
    for b, row, column, channel in np.ndindex(values.shape):
        index = int(indices[b, row, column, channel])
        if not 0 <= index < height * width * channels:
            raise ValueError(f"expected 0 <= index < {height * width * channels}; received {index}")
        y[(b, *np.unravel_index(index, y.shape[1:]))] = values[b, row, column, channel]
    return y


def average_unpool(x: np.ndarray, pool_size: Sides, output_size: Sides | None = None) -> np.ndarray:
    """Gives every element of a window the window's value, so that pooling gives `x` back.

    Elements that no window covers, left over by a VALID pooling, are zero.
    """
    pool_size = _both(pool_size)
    batch, rows, columns, channels = x.shape
    if output_size is None:
        output_size = (rows * pool_size[0], columns * pool_size[1])
    output_size = _both(output_size)
    top = max(rows * pool_size[0] - output_size[0], 0) // 2
    left = max(columns * pool_size[1] - output_size[1], 0) // 2
    y = np.zeros((batch, *output_size, channels), x.dtype)
    for r, c in np.ndindex(output_size):
        row, column = (r + top) // pool_size[0], (c + left) // pool_size[1]
        if row < rows and column < columns:
            y[:, r, c] = x[:, row, column]
    return y


def bilinear_kernel(factor: int) -> np.ndarray:
    """The `[size, size]` kernel of bilinear upsampling, size `2 * factor - factor % 2`.

    A tent that falls to zero at distance `factor` from the middle of the kernel.
    """
    size = 2 * factor - factor % 2
    kernel = np.zeros((size, size))
    middle = (size - 1) / 2
    for i, j in np.ndindex(size, size):
        kernel[i, j] = (1 - abs(i - middle) / factor) * (1 - abs(j - middle) / factor)
    return kernel


def _both(sides: Sides) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else sides


def _outputs(size: int, kernel: int, stride: int, padding: str) -> tuple[int, int]:
    """The number of windows along an axis, and the padding before the first."""
    if padding == "same":
        windows = (size + stride - 1) // stride
        return windows, max((windows - 1) * stride + kernel - size, 0) // 2
    if padding != "valid" or size < kernel:
        raise ValueError(
            f"expected 'same', or 'valid' with size >= {kernel}; received {padding=}, {size=}"
        )
    return (size - kernel) // stride + 1, 0


def _legal(windows: int, kernel: int, stride: int, padding: str) -> list[int]:
    """The sizes that make `windows` windows, by trying all that could."""
    sizes = range(1 if padding == "same" else kernel, windows * stride + kernel)
    return [size for size in sizes if _outputs(size, kernel, stride, padding)[0] == windows]


def _largest(windows: int, kernel: int, stride: int, padding: str) -> int:
    return _legal(windows, kernel, stride, padding)[-1]


def _crop(windows: int, kernel: int, stride: int, padding: str, size: int) -> int:
    legal = _legal(windows, kernel, stride, padding)
    if size not in legal:
        raise ValueError(f"expected an output size in {legal}; received {size}")
    return _outputs(size, kernel, stride, padding)[1]
