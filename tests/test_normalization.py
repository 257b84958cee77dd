"""Batch normalisation in one operation against Keras' layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from src.kernels import normalization
from src.kernels.accelerate import accelerate

# A bfloat16 has eight bits, and values here are below 8.
TOLERANCE = {"float32": 2e-5, "mixed_bfloat16": 2**-5}


def normalised(run, layer, x, upstream):
    """Values, gradients, and moving moments after a step."""
    layer.gamma.assign(np.linspace(0.5, 2, x.shape[-1]))
    layer.beta.assign(np.linspace(-1, 1, x.shape[-1]))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(x)
        wanted = [x, layer.gamma.value, layer.beta.value]
        return y, *tape.gradient(y, wanted, tf.cast(upstream, y.dtype))

    found = [*step(tf.cast(x, layer.compute_dtype)), layer.moving_mean, layer.moving_variance]
    return [np.asarray(keras.ops.cast(tensor, "float32")) for tensor in found]


def both(shape, policy, training, trainable=True):
    x, upstream = np.random.default_rng(sum(shape)).normal(2, 1.5, (2, *shape)).astype("float32")
    for fast in (True, False):
        layer = layers.BatchNormalization(momentum=0.9, dtype=policy, trainable=trainable)
        layer.build((None, *shape[1:]))
        layer.moving_mean.assign(np.ones(shape[-1]))
        layer.moving_variance.assign(np.full(shape[-1], 2.0))

        def run(x, layer=layer, fast=fast):
            if fast:
                return normalization.batch_normalization(layer, x, training)
            return layer(x, training=training)

        yield normalised(run, layer, x, upstream)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("shape", [(4, 6, 7, 48), (2, 3, 1, 1), (1, 5, 4, 16)])
@pytest.mark.parametrize(
    ("training", "trainable"),
    [(True, True), (False, True), (True, False)],
    ids=["training", "inference", "frozen"],
)
def test_values_gradients_and_moments_are_those_of_keras(policy, shape, training, trainable):
    fast, plain = both(shape, policy, training, trainable)
    names = ("y", "dx", "dgamma", "dbeta", "mean", "variance")
    for name, one, other in zip(names, fast, plain, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one / scale, other / scale, atol=TOLERANCE[policy], err_msg=name)


def test_the_moving_variance_is_moved_by_that_of_the_batch():
    # 1, 3, 5, 7 have the variance 5; an estimate for all maps would be 20/3.
    layer = layers.BatchNormalization(momentum=0.5)
    layer.build((None, 2, 2, 1))
    normalization.batch_normalization(layer, np.array([1, 3, 5, 7], "f4").reshape(1, 2, 2, 1), True)
    assert float(layer.moving_mean[0]) == 0.5 * 0 + 0.5 * 4
    assert float(layer.moving_variance[0]) == pytest.approx(0.5 * 1 + 0.5 * 5, rel=1e-6)


def test_a_batch_of_one_pixel_has_no_variance():
    layer = layers.BatchNormalization(momentum=0.5)
    layer.build((None, 1, 1, 2))
    y = normalization.batch_normalization(layer, np.full((1, 1, 1, 2), 3, "f4"), True)
    np.testing.assert_array_equal(y, np.zeros((1, 1, 1, 2)))
    np.testing.assert_array_equal(layer.moving_variance, [0.5, 0.5])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"axis": 3},
        {"axis": 1},
        {"scale": False},
        {"center": False},
        {"renorm": True},
        {"synchronized": True},
        {"epsilon": 1e-6},
    ],
    ids=lambda options: " ".join(f"{key}={value}" for key, value in options.items()) or "plain",
)
def test_what_is_normalised_otherwise_is_left_to_keras(options):
    image = keras.Input((4, 4, 3))
    network = keras.Model(image, layers.BatchNormalization(**options)(image))
    exchanged = accelerate(network) != network.call
    assert exchanged == (options in ({}, {"axis": 3}))
