"""Bilinear kernels against the oracle, against Keras, and against a popular wrong one."""

import keras
import numpy as np
import pytest

from src.arithmetic import reference
from src.layers.initializers import Bilinear
from src.layers.upsampling import DepthwiseConv2DTranspose

FACTORS = [2, 3, 4, 5, 8, 16]
RNG = np.random.default_rng(0)


def size_for(factor):
    return 2 * factor - factor % 2


@pytest.mark.parametrize("factor", [1, *FACTORS])
def test_equals_the_oracle_on_the_diagonal_and_is_zero_beside_it(factor):
    size = size_for(factor)
    kernel = np.asarray(Bilinear()((size, size, 3, 3)))
    for i, j in np.ndindex(3, 3):
        expected = reference.bilinear_kernel(factor) * (i == j)
        np.testing.assert_allclose(kernel[:, :, i, j], expected, rtol=1e-6)
    per_channel = np.asarray(Bilinear()((size, size, 3)))
    np.testing.assert_array_equal(per_channel, np.einsum("hwcc->hwc", kernel))


@pytest.mark.parametrize("factor", FACTORS)
def test_upsamples_like_keras_but_for_the_edge(factor):
    x = RNG.random((2, 5, 6, 3)).astype("float32")
    expected = keras.layers.UpSampling2D(factor, interpolation="bilinear")(x)
    size, edge = size_for(factor), factor // 2
    layers = [
        keras.layers.Conv2DTranspose(
            3, size, factor, padding="same", use_bias=False, kernel_initializer=Bilinear()
        ),
        DepthwiseConv2DTranspose(size, factor),
    ]
    for layer in layers:
        y = layer(x)
        assert y.shape == expected.shape
        inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
        np.testing.assert_allclose(y[inner], expected[inner], atol=1e-6)
        assert not np.allclose(y, expected, atol=1e-6)  # fades at the edge


@pytest.mark.parametrize("size", range(1, 17))
def test_the_centre_is_the_middle_of_the_kernel(size):
    """A popular variant centres on `half % 2`, right for some sizes only."""
    kernel = np.asarray(Bilinear()((size, 1, 1)))[:, 0, 0]
    np.testing.assert_array_equal(kernel, kernel[::-1])
    half = (size + 1) // 2
    centre = half - 1 if half % 2 == 1 else half - 0.5
    variant = 1 - np.abs(np.arange(size) - centre) / half
    wrong = not np.allclose(kernel, variant)
    assert wrong == (size in (2, 3, 6, 7, 10, 11, 14, 15))


def test_asking_for_a_size_that_the_stride_does_not_divide_shifts_the_picture():
    """Height 10, stride 4: 3 scores make 12 rows; 12 - 10 over 2 is a shift of 1 row."""
    rows = np.arange(3.0).reshape(1, 3, 1, 1)
    kernel = reference.bilinear_kernel(4)[:, 3:4, None, None]
    full = reference.conv2d_transpose(rows, kernel, (4, 1), "same", (12, 1))[0, :, 0, 0]
    asked = reference.conv2d_transpose(rows, kernel, (4, 1), "same", (10, 1))[0, :, 0, 0]
    shift = (3 * 4 - 10) // 2
    assert shift == 1
    np.testing.assert_array_equal(asked, full[shift : shift + 10])
    assert not np.array_equal(asked, full[:10])


def test_a_dense_kernel_of_many_classes_is_nearly_all_zeros():
    dense, depthwise = np.asarray(Bilinear()((64, 64, 21, 21))), Bilinear()((64, 64, 21))
    assert dense.size == 1_806_336
    assert np.count_nonzero(dense) == np.prod(depthwise.shape) == 86_016


def test_channels_of_another_number_are_mixed_and_then_upsampled():
    kernel = np.asarray(Bilinear(seed=0)((4, 4, 3, 48)))
    tent = reference.bilinear_kernel(2)
    mixture = kernel[1, 1] / tent[1, 1]
    np.testing.assert_allclose(kernel, np.multiply.outer(tent, mixture), rtol=1e-6)
    # Uniform between -l and l, with l the root of 6 over inputs and outputs.
    limit = (6 / (3 + 48)) ** 0.5
    assert 0.9 * limit < np.abs(mixture).max() <= limit
    assert mixture.std() == pytest.approx(limit / 3**0.5, rel=0.1)


def test_serialises():
    config = keras.initializers.serialize(Bilinear(seed=3))
    again = keras.initializers.deserialize(config)
    for shape in ((4, 4, 2, 2), (4, 4, 2, 5)):
        np.testing.assert_array_equal(again(shape), Bilinear(seed=3)(shape))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected a kernel \[height.*received shape=\(4, 4\)"):
        Bilinear()((4, 4))
