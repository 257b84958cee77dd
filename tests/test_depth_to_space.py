"""Transposed convolution by depth to space, against the oracle's scattering loops."""

import numpy as np
import pytest
import tensorflow as tf

from src.arithmetic import reference
from src.kernels.depth_to_space import conv2d_transpose, conv2d_transpose_by_rows

# Kernels smaller than, as large as and larger than the stride, odd and even.
AXES = [(kernel, stride, size) for kernel in range(1, 8) for stride in (1, 2, 3) for size in (1, 4)]


def test_one_pixel_worked_by_hand():
    kernel = np.outer([1, 10, 100], [1, 2, 3]).reshape(3, 3, 1, 1).astype("float32")
    # SAME with kernel 3 and stride 2 crops nothing in front: columns 1 2 3+5*1 5*2, cut to 4.
    outputs = conv2d_transpose(np.float32([1, 5]).reshape(1, 1, 2, 1), kernel, (2, 2))
    np.testing.assert_array_equal(outputs[0, :, :, 0], [[1, 2, 8, 10], [10, 20, 80, 100]])


@pytest.mark.parametrize(("rows", "columns"), list(zip(AXES, AXES[7:] + AXES[:7], strict=True)))
def test_is_the_transposed_convolution(rows, columns):
    size, strides, sides = zip(rows, columns, strict=True)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, *sides, 3)).astype("float32")
    kernel = generator.normal(size=(*size, 2, 3)).astype("float32")
    grown = tuple(n * s for n, s in zip(sides, strides, strict=True))
    expected = reference.conv2d_transpose(x, kernel, strides, "same", grown)
    np.testing.assert_allclose(conv2d_transpose(x, kernel, strides), expected, rtol=1e-5, atol=1e-5)


# As high as the stride or higher, and one, two or three strides wide.
ROW_AXES = [(2, 2, 2, 2), (4, 2, 4, 2), (5, 3, 6, 3), (16, 8, 16, 8), (3, 1, 3, 1), (4, 2, 9, 3)]


@pytest.mark.parametrize("axes", ROW_AXES)
@pytest.mark.parametrize("sides", [(1, 1), (3, 5)])
def test_by_rows_it_is_the_transposed_convolution(axes, sides):
    height, down, width, across = axes
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, *sides, 3)).astype("float32")
    kernel = generator.normal(size=(height, width, 2, 3)).astype("float32")
    grown = sides[0] * down, sides[1] * across
    expected = reference.conv2d_transpose(x, kernel, (down, across), "same", grown)
    found = conv2d_transpose_by_rows(x, kernel, (down, across))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_by_rows_its_gradients_are_those_of_tensorflows_transposed_convolution():
    generator = np.random.default_rng(0)
    x, kernel, upstream = (
        tf.constant(generator.normal(size=size).astype("float32"))
        for size in ((2, 3, 4, 5), (16, 16, 2, 5), (2, 24, 32, 2))
    )
    found = []
    for product in (
        lambda: conv2d_transpose_by_rows(x, kernel, (8, 8)),
        lambda: tf.nn.conv2d_transpose(x, kernel, upstream.shape, 8, "SAME"),
    ):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = product()
        found.append(tape.gradient(y, [x, kernel], upstream))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_by_rows_maps_may_be_of_a_size_that_the_graph_does_not_know():
    kernel = np.random.default_rng(0).normal(size=(16, 16, 2, 3)).astype("float32")
    unknown = tf.TensorSpec((None, None, None, 3))
    graph = tf.function(
        lambda x: conv2d_transpose_by_rows(x, kernel, (8, 8)), input_signature=[unknown]
    )
    x = np.ones((1, 2, 3, 3), "float32")
    expected = reference.conv2d_transpose(x, kernel, (8, 8), "same", (16, 24))
    np.testing.assert_allclose(graph(x), expected, rtol=1e-5, atol=1e-4)
