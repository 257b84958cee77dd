"""The transposed convolution phase by phase, against the oracle's scattering loops."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from src.arithmetic import reference
from src.kernels.depth_to_space import PolyphaseConv2DTranspose

# Kernels smaller than, as large as and larger than the stride, odd and even.
AXES = [(kernel, stride, size) for kernel in range(1, 8) for stride in (1, 2, 3) for size in (1, 4)]


def built(kernel, strides, shape, **options):
    generator = np.random.default_rng(0)
    layer = PolyphaseConv2DTranspose(2, kernel, strides, padding="same", **options)
    layer.build(shape)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    return layer, generator.normal(size=shape).astype("float32")


def test_one_pixel_worked_by_hand():
    layer = PolyphaseConv2DTranspose(1, 3, 2, padding="same", use_bias=False)
    layer.build((1, 1, 2, 1))
    layer.set_weights([np.outer([1, 10, 100], [1, 2, 3]).reshape(3, 3, 1, 1)])
    # SAME with kernel 3 and stride 2 crops nothing in front: columns 1 2 3+5*1 5*2, cut to 4.
    outputs = layer(np.float32([1, 5]).reshape(1, 1, 2, 1))[0, :, :, 0]
    np.testing.assert_array_equal(outputs, [[1, 2, 8, 10], [10, 20, 80, 100]])


@pytest.mark.parametrize(("rows", "columns"), list(zip(AXES, AXES[7:] + AXES[:7], strict=True)))
def test_is_the_transposed_convolution(rows, columns):
    kernel, strides, size = zip(rows, columns, strict=True)
    layer, x = built(kernel, strides, (2, *size, 3))
    weights, bias = layer.get_weights()
    expected = reference.conv2d_transpose(
        x,
        weights,
        strides,
        "same",
        tuple(n * s for n, s in zip(size, strides, strict=True)),
    )
    assert tuple(layer.compute_output_shape(x.shape)) == expected.shape
    np.testing.assert_allclose(layer(x), expected + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), list(itertools.product((2, 4, 5), (1, 2, 3))))
def test_has_the_gradients_of_the_transposed_convolution(kernel, stride):
    own, x = built(kernel, stride, (2, 4, 5, 3), activation="tanh")
    other = keras.layers.Conv2DTranspose.from_config(own.get_config())
    other.build(x.shape)
    other.set_weights(own.get_weights())
    gradients = []
    for layer in (own, other):
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = tf.reduce_sum(layer(inputs) ** 2)
        weights = [weight.value for weight in layer.trainable_variables]
        gradients.append(tape.gradient(total, [inputs, *weights]))
    for mine, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
