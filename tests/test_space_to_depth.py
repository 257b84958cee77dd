"""Convolution and pooling after space to depth, against the oracle's loops over whole maps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from src import config
from src.arithmetic import reference
from src.kernels.accelerate import accelerate
from src.kernels.space_to_depth import blocked_kernel, blocked_pooling, space_to_depth
from src.models.lenet5 import build as build_lenet5


def divided(maps, stride):
    """Space to depth by slices."""
    parts = [maps[:, y::stride, x::stride] for y in range(stride) for x in range(stride)]
    return np.concatenate(parts, axis=-1)


def test_space_to_depth_worked_by_hand():
    maps = np.arange(16).reshape(1, 4, 4, 1)
    #  0  1  2  3
    #  4  5  6  7
    #  8  9 10 11
    # 12 13 14 15
    expected = [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]
    np.testing.assert_array_equal(space_to_depth(maps, 2)[0], expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_channels_are_every_stride_th_pixel(stride, channels):
    maps = np.random.default_rng(0).random((2, 2 * stride, 3 * stride, channels), "float32")
    np.testing.assert_array_equal(space_to_depth(maps, stride), divided(maps, stride))


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("size", range(1, 8))
def test_a_blocked_kernel_convolves_as_the_kernel_does_maps(size, stride):
    generator = np.random.default_rng(0)
    # Sides that blocks divide, of the input and, what the last windows add taken off, the output.
    sides = (3 * stride, 4 * stride)
    maps = generator.normal(size=(2, *(side + size - 1 for side in sides), 3))
    kernel = generator.normal(size=(size, size, 3, 2))
    expected = divided(reference.conv2d(maps, kernel, (1, 1), "valid"), stride)
    filled = np.pad(maps, [(0, 0), *[(0, (1 - size) % stride)] * 2, (0, 0)])
    own = blocked_kernel(tf.constant(kernel, "float32"), stride)
    outputs = keras.ops.conv(space_to_depth(filled.astype("float32"), stride), own, padding="valid")
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("stride", [2, 4, 6])
def test_blocked_pooling_averages_2x2_pixels(stride):
    maps = np.random.default_rng(0).random((2, 2 * stride, 3 * stride, 3))
    pooled = reference.conv2d(maps, np.full((2, 2, 1, 1), 1 / 4) * np.eye(3), (2, 2), "valid")
    np.testing.assert_allclose(
        divided(maps, stride) @ blocked_pooling(stride, 3), divided(pooled, stride // 2)
    )


@pytest.mark.parametrize("side", [28, 32])
@pytest.mark.parametrize("output", ["softmax", "rbf"])
def test_lenet5_by_space_to_depth_is_the_functional_model(output, side):
    keras.utils.set_random_seed(0)
    model = build_lenet5(config.LeNet5(name="lenet5", output=output), (side, side, 1), 10)
    forward = accelerate(model)
    assert forward != model.call
    for layer in (model.get_layer("c1"), model.get_layer("c3")):
        layer.bias.assign(np.linspace(-1, 1, layer.filters))
    images = tf.constant(np.random.default_rng(0).random((3, side, side, 1), "float32"))
    outputs, gradients = [], []
    for own in (forward, model):
        with tf.GradientTape() as tape:
            logits = own(images)
            loss = tf.reduce_sum(tf.nn.log_softmax(logits)[:, 3])
        outputs.append(logits)
        gradients.append(tape.gradient(loss, model.trainable_variables))
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)
    assert len(gradients[0]) == len(model.trainable_variables)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
