"""Sizes of convolutions, poolings and what undoes them.

One axis at a time: `size`, `kernel`, `stride` and `dilation` are pixels along that axis, `padding`
is "valid" or "same" with TensorFlow's meaning. Standard library only.

Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations


def conv_output_size(
    size: int, kernel: int, stride: int = 1, padding: str = "valid", dilation: int = 1
) -> int:
    """Returns the output size of a convolution or a pooling.

    VALID: `(size - extent) // stride + 1`, SAME: `ceil(size / stride)`, where a dilated kernel
    has the extent `(kernel - 1) * dilation + 1`.

    Raises:
        ValueError: an argument is not positive, the padding is unknown, or no window fits.
    """
    extent = _extent(kernel, stride, padding, dilation)
    _expect_positive(size=size)
    if padding == "same":
        return -(-size // stride)
    if size < extent:
        raise ValueError(f"expected size >= {extent}, the extent of the kernel; received {size=}")
    return (size - extent) // stride + 1


def conv_padding(
    size: int, kernel: int, stride: int = 1, padding: str = "valid", dilation: int = 1
) -> tuple[int, int]:
    """Returns the leading and the trailing padding of a convolution or a pooling.

    SAME pads `max((n - 1) * stride + extent - size, 0)` in all, the smaller half first.

    Raises:
        ValueError: as `conv_output_size`.
    """
    outputs = conv_output_size(size, kernel, stride, padding, dilation)
    if padding == "valid":
        return 0, 0
    total = max((outputs - 1) * stride + _extent(kernel, stride, padding, dilation) - size, 0)
    return total // 2, total - total // 2


def conv_input_sizes(
    outputs: int, kernel: int, stride: int = 1, padding: str = "valid", dilation: int = 1
) -> range:
    """Returns every input size from which a convolution or a pooling makes `outputs`.

    These are the legal output sizes of the transposed convolution, and of an unpooling, on an
    input of size `outputs`.

    Raises:
        ValueError: an argument is not positive or the padding is unknown.
    """
    extent = _extent(kernel, stride, padding, dilation)
    _expect_positive(outputs=outputs)
    first = (outputs - 1) * stride + (1 if padding == "same" else extent)
    return range(first, first + stride)


def conv_transpose_output_size(
    size: int, kernel: int, stride: int = 1, padding: str = "valid", dilation: int = 1
) -> int:
    """Returns the output size that Keras' `Conv2DTranspose` chooses.

    SAME: `size * stride`, the largest legal size. VALID: `(size - 1) * stride + max(extent,
    stride)`: the full result, extended by zeros where the stride leaves gaps.

    Raises:
        ValueError: an argument is not positive or the padding is unknown.
    """
    extent = _extent(kernel, stride, padding, dilation)
    _expect_positive(size=size)
    return size * stride if padding == "same" else (size - 1) * stride + max(extent, stride)


def conv_transpose_crop(
    size: int, kernel: int, stride: int, padding: str, output_size: int, dilation: int = 1
) -> int:
    """Returns `p`, how many leading elements of the full result a transposed convolution drops.

    The full result is `full[i * stride + j] += x[i] * w[j]`, of length `(size - 1) * stride +
    extent`; the output is `full[p : p + output_size]`, zero outside. `p` is the leading padding of
    the convolution that maps `output_size` to `size`.

    Raises:
        ValueError: that convolution does not exist; the message names the legal sizes.
    """
    legal = conv_input_sizes(size, kernel, stride, padding, dilation)
    if output_size not in legal:
        sizes = f"{legal[0]}" if len(legal) == 1 else f"{legal[0]} to {legal[-1]}"
        raise ValueError(
            f"expected output_size {sizes} for {size=}, {kernel=}, {stride=}, {padding=}; "
            f"received {output_size=}"
        )
    return conv_padding(output_size, kernel, stride, padding, dilation)[0]


def likely_window(size: int, outputs: int) -> int:
    """Returns the side of windows side by side that make `outputs` out of `size`, VALID ones first.

    Small maps leave a doubt: 7 pixels make 3 windows of 2 with VALID and 3 of 3 with SAME padding.

    Raises:
        ValueError: an argument is not positive.
    """
    _expect_positive(size=size, outputs=outputs)
    side = max(1, size // outputs)
    return side if size // side == outputs else -(-size // outputs)


def _extent(kernel: int, stride: int, padding: str, dilation: int) -> int:
    _expect_positive(kernel=kernel, stride=stride, dilation=dilation)
    if padding not in ("valid", "same"):
        raise ValueError(f"expected padding 'valid' or 'same'; received {padding=}")
    return (kernel - 1) * dilation + 1


def _expect_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"expected {name} >= 1; received {name}={value}")
