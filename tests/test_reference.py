"""The oracle against TensorFlow, against itself, and against the definition of an adjoint."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from src.arithmetic import reference

RNG = np.random.default_rng(0)


def small_integers(*shape):
    return RNG.integers(-4, 5, shape).astype(np.float32)


def legal_cases():
    """Every `(n, k, s, H, padding)` with n <= 6, k <= 7, s <= 4 that a convolution allows."""
    for n, k, s in itertools.product(range(1, 7), range(1, 8), range(1, 5)):
        for size in range((n - 1) * s + 1, n * s + 1):
            yield n, k, s, size, "same"
        for size in range((n - 1) * s + k, (n - 1) * s + k + s):
            yield n, k, s, size, "valid"


CASES = list(legal_cases())


def test_the_cases_are_all():
    assert len(CASES) == 6 * 7 * (1 + 2 + 3 + 4) * 2


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_convolutions_equal_tensorflow_in_every_legal_case(stride, padding):
    for n, k, s, size, pad in CASES:
        if (s, pad) != (stride, padding):
            continue
        # Along the height; the width is a case of its own, of one pixel and one column.
        x, w, y = (
            small_integers(1, size, 1, 2),
            small_integers(k, 1, 2, 2),
            small_integers(1, n, 1, 2),
        )
        strides = (s, 1)
        forward = tf.raw_ops.Conv2D(input=x, filter=w, strides=[1, s, 1, 1], padding=pad.upper())
        assert np.array_equal(reference.conv2d(x, w, strides, pad), forward), (n, k, s, size)
        backward = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=x.shape, filter=w, out_backprop=y, strides=[1, s, 1, 1], padding=pad.upper()
        )
        scattered = reference.conv2d_transpose(y, w, strides, pad, (size, 1))
        stuffed = reference.conv2d_transpose_by_zero_stuffing(y, w, strides, pad, (size, 1))
        assert np.array_equal(scattered, backward), (n, k, s, size)
        assert np.array_equal(stuffed, backward), (n, k, s, size)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [(3, 2), (2, 5), (4, 4)])
@pytest.mark.parametrize("strides", [(2, 1), (1, 3), (2, 2)])
def test_both_axes_at_once_equal_tensorflow_and_are_adjoint(kernel, strides, padding):
    x, w = small_integers(2, 8, 9, 3), small_integers(*kernel, 3, 2)
    y = reference.conv2d(x, w, strides, padding)
    four = [1, *strides, 1]
    assert np.array_equal(y, tf.nn.conv2d(x, w, four, padding.upper()))
    upstream = small_integers(*y.shape)
    back = reference.conv2d_transpose(upstream, w, strides, padding, (8, 9))
    assert np.array_equal(back, tf.nn.conv2d_transpose(upstream, w, x.shape, four, padding.upper()))
    stuffed = reference.conv2d_transpose_by_zero_stuffing(upstream, w, strides, padding, (8, 9))
    assert np.array_equal(stuffed, back)
    assert np.vdot(y, upstream) == np.vdot(x, back)  # <conv(x), y> = <x, conv_transpose(y)>


def test_without_a_size_the_transpose_is_as_large_as_can_be():
    x, w = small_integers(1, 4, 4, 1), small_integers(3, 3, 1, 1)
    assert reference.conv2d_transpose(x, w, (2, 2), "same").shape == (1, 8, 8, 1)
    assert reference.conv2d_transpose(x, w, (2, 2), "valid").shape == (1, 10, 10, 1)


@pytest.mark.parametrize("size", [6, 9])
def test_an_impossible_size_is_refused_with_the_legal_ones(size):
    x, w = small_integers(1, 4, 1, 1), small_integers(3, 1, 1, 1)
    with pytest.raises(ValueError, match=rf"expected an output size in \[7, 8\]; received {size}"):
        reference.conv2d_transpose(x, w, (2, 1), "same", (size, 1))


def test_impossible_windows_are_refused():
    with pytest.raises(
        ValueError, match="'valid' with size >= 3; received padding='valid', size=2"
    ):
        reference.conv2d(small_integers(1, 2, 2, 1), small_integers(3, 3, 1, 1), (1, 1), "valid")
    with pytest.raises(ValueError, match="received padding='full'"):
        reference.max_pool_with_argmax(small_integers(1, 4, 4, 1), (2, 2), (2, 2), "full")


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("pool", "strides"), [((2, 2), (2, 2)), ((3, 2), (2, 1)), ((2, 3), (3, 3))]
)
def test_max_pool_equals_tensorflow(pool, strides, padding):
    x = RNG.permutation(2 * 7 * 8 * 3).reshape(2, 7, 8, 3).astype(np.float32) - 500
    values, indices = reference.max_pool_with_argmax(x, pool, strides, padding)
    expected = tf.nn.max_pool_with_argmax(x, pool, strides, padding.upper())
    assert np.array_equal(values, expected[0])
    assert np.array_equal(indices, expected[1])


def test_max_pool_by_hand():
    nan, inf = np.nan, np.inf
    x = np.array([[1, 1, nan, 2], [1, 1, 7, nan], [-inf, -inf, inf, 0], [-inf, -inf, 3, 0]])
    values, indices = reference.max_pool_with_argmax(x[None, :, :, None], (2, 2), (2, 2), "valid")
    assert np.array_equal(values[0, :, :, 0], [[1, nan], [-inf, inf]], equal_nan=True)
    assert indices[0, :, :, 0].tolist() == [[0, 2], [8, 10]]


def test_max_unpool_by_hand():
    values, indices = np.array([[[[5, 6]], [[7, 8]]]]), np.array([[[[2, 5]], [[2, 1]]]])  # 1,2,1,2
    y = reference.max_unpool(values, indices, 1, 3)
    assert y.tolist() == [[[[0, 8], [7, 0], [0, 6]]]]
    with pytest.raises(ValueError, match="expected 0 <= index < 4; received 5"):
        reference.max_unpool(values, indices, 1, 2)


def test_average_unpool_by_hand():
    x = np.array([[[[1], [2]]]])
    assert reference.average_unpool(x, (1, 2))[0, 0, :, 0].tolist() == [1, 1, 2, 2]
    assert reference.average_unpool(x, (1, 3), (1, 4))[0, 0, :, 0].tolist() == [1, 1, 2, 2]
    assert reference.average_unpool(x, (1, 2), (1, 5))[0, 0, :, 0].tolist() == [1, 1, 2, 2, 0]


def test_bilinear_kernels_by_hand():
    assert reference.bilinear_kernel(1).tolist() == [[1]]
    assert (reference.bilinear_kernel(2)[0] * 16).tolist() == [1, 3, 3, 1]
    assert np.allclose(reference.bilinear_kernel(3)[2] * 3, [1, 2, 3, 2, 1])
    for factor in range(1, 9):
        kernel = reference.bilinear_kernel(factor)
        assert kernel.shape == (2 * factor - factor % 2,) * 2
        assert kernel.sum() == pytest.approx(factor**2)


def test_one_number_stands_for_both_sides():
    generator = np.random.default_rng(0)
    x, w = generator.integers(-9, 9, (1, 6, 6, 2)), generator.integers(-9, 9, (3, 3, 2, 2))
    calls = [
        (reference.conv2d, (x, w), (2,), ("same",)),
        (reference.conv2d_transpose, (x, w), (2,), ("same",)),
        (reference.conv2d_transpose, (x, w), (2,), ("same", 11)),
        (reference.max_pool_with_argmax, (x,), (2, 2), ("valid",)),
        (reference.average_unpool, (x,), (2,), ()),
        (reference.average_unpool, (x,), (2, 11), ()),
    ]
    for function, arrays, sides, rest in calls:
        one = function(*arrays, *sides, *rest)
        pairs = [(side, side) for side in sides]
        both = [(side, side) if isinstance(side, int) else side for side in rest]
        np.testing.assert_array_equal(one, function(*arrays, *pairs, *both))
