"""The worked examples of well-known articles on transposed convolution, integer by integer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from src.arithmetic import reference, sizes

# channels first, as the article writes them: [in, height, width] and [out, in, height, width]
FOUR_CHANNELS = [
    [[1, 0, 1], [0, 2, 1], [1, 1, 0]],
    [[2, 0, 2], [0, 1, 0], [1, 0, 0]],
    [[1, 1, 1], [2, 2, 0], [1, 1, 1]],
    [[1, 1, 2], [1, 0, 1], [0, 2, 2]],
]
TWO_KERNELS = [
    [
        [[1, 0, 1], [-1, 1, 0], [0, -1, 0]],
        [[-1, 0, 1], [0, 0, 1], [1, 1, 1]],
        [[0, 1, 1], [2, 0, 1], [1, 2, 1]],
        [[1, 1, 1], [0, 2, 1], [1, 0, 1]],
    ],
    [
        [[1, 0, 2], [-2, 1, 1], [1, -1, 0]],
        [[-1, 0, 1], [-1, 2, 1], [1, 1, 1]],
        [[0, 0, 0], [2, 2, 1], [1, -1, 1]],
        [[2, 1, 1], [0, -1, 1], [1, 1, 1]],
    ],
]
FIRST_OUTPUT = [
    [4, 3, 6, 2, 7, 3],
    [4, 3, 3, 2, 7, 5],
    [8, 6, 8, 5, 11, 2],
    [3, 2, 7, 2, 3, 3],
    [5, 5, 11, 3, 9, 3],
    [2, 1, 4, 5, 4, 4],
]
SECOND_OUTPUT = [
    [4, 1, 7, 0, 7, 2],
    [5, 6, 0, 1, 8, 5],
    [8, 0, 8, -2, 14, 2],
    [3, 3, 9, 8, 1, 0],
    [3, 0, 13, 0, 11, 2],
    [3, 5, 3, 1, 3, 0],
]


def maps(rows):
    return np.array(rows)[None, :, :, None]


def kernel(rows):
    return np.array(rows)[:, :, None, None]


def transposed(x, w, stride, padding, size):
    """The oracle's answer, which TensorFlow must share."""
    y = reference.conv2d_transpose(x, w, (stride, stride), padding, size)
    by_tensorflow = tf.nn.conv2d_transpose(
        x.astype("float32"), w.astype("float32"), y.shape, stride, padding.upper()
    )
    assert np.array_equal(y, by_tensorflow)
    return y


def test_ones_and_a_two_by_two_kernel():
    ones, w = maps(np.ones((4, 4), int)), kernel([[1, 0], [-1, -2]])
    y = reference.conv2d(ones, w, (2, 2), "valid")
    assert y[0, :, :, 0].tolist() == [[-2, -2], [-2, -2]]
    for padding in ("valid", "same"):
        back = transposed(y, w, 2, padding, (4, 4))
        assert back[0, :, :, 0].tolist() == [[-2, 0, -2, 0], [2, 4, 2, 4]] * 2


def test_overlapping_ones_add_up():
    y = transposed(maps([[1, 1], [2, 2]]), kernel(np.ones((3, 3), int)), 2, "same", (4, 4))
    assert y[0, :, :, 0].tolist() == [[1, 1, 2, 1], [1, 1, 2, 1], [3, 3, 6, 3], [2, 2, 4, 2]]


@pytest.mark.parametrize(("padding", "size"), [("valid", 36), ("same", 32)])
def test_sixteen_grow_to(padding, size):
    assert sizes.conv_transpose_output_size(16, 6, 2, padding) == size
    layer = keras.layers.Conv2DTranspose(1, 6, 2, padding=padding)
    assert layer(np.ones((1, 16, 16, 1))).shape == (1, size, size, 1)
    legal = sizes.conv_input_sizes(16, 6, 2, padding)
    assert list(legal) == ([36, 37] if padding == "valid" else [31, 32])


def test_four_channels_through_two_kernels():
    """Stride 2, SAME, 3x3 to 6x6; the article's kernels are turned by 180 degrees first.

    Zero-stuffing turns the kernel itself, so an article that does not is computing with the turned
    one; as printed, the kernels give other numbers.
    """
    x = np.array(FOUR_CHANNELS).transpose(1, 2, 0)[None]  # 1, 3, 3, 4
    w = np.array(TWO_KERNELS).transpose(2, 3, 0, 1)  # 3, 3, 2, 4
    y = transposed(x, w[::-1, ::-1], 2, "same", (6, 6))
    assert y[0, :, :, 0].tolist() == FIRST_OUTPUT
    assert y[0, :, :, 1].tolist() == SECOND_OUTPUT
    assert y.sum((0, 1, 2)).tolist() == [165, 144]
    assert y.sum() == 309
    as_printed = transposed(x, w, 2, "same", (6, 6))
    assert as_printed.sum((0, 1, 2)).tolist() == [154, 135]
