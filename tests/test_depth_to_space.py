"""Transposed convolution by depth to space, against the oracle's scattering loops."""

import numpy as np
import pytest

from src.arithmetic import reference
from src.kernels.depth_to_space import conv2d_transpose

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
