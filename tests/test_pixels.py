"""What is compiled for the logits of pixels against TensorFlow's operations and plain ones."""

import numpy as np
import pytest
import tensorflow as tf

from src.kernels import pixels

CLASSES = 5


def twin(labels, logits, weights):
    counted = labels < CLASSES
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.where(counted, labels, 0), tf.cast(logits, "float64")
    )
    share = tf.where(counted, tf.gather(weights, tf.where(counted, labels, 0)), 0.0)
    total = tf.reduce_sum(tf.cast(share, "float64") * each)
    return total / max(int(tf.reduce_sum(tf.cast(counted, "int32"))), 1)


def with_gradient(loss, labels, logits, weights):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        # A factor, as that of a weight of the loss, goes into the gradient.
        value = 3 * loss(labels, logits, weights)
    return value, tape.gradient(value, logits)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
@pytest.mark.parametrize("shape", [(2, 6, 7), (1, 1, 1), (3, 40, 30)])
def test_compiled_and_operation_by_operation_are_tensorflows_cross_entropy(shape, dtype):
    generator = np.random.default_rng(sum(shape))
    labels = tf.constant(generator.integers(0, CLASSES + 2, shape).astype(dtype))
    logits = tf.constant(generator.normal(0, 4, (*shape, CLASSES)).astype("float32"))
    weights = tf.constant(np.linspace(0, 2, CLASSES), "float32")
    expected, gradient = with_gradient(twin, tf.cast(labels, "int32"), logits, weights)
    for run in (with_gradient, tf.function(with_gradient)):
        value, found = run(pixels.cross_entropy, labels, logits, weights)
        assert float(value) == pytest.approx(float(expected), rel=1e-5, abs=1e-7)
        np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-7)
        assert not np.asarray(found)[np.asarray(labels) >= CLASSES].any()


def test_many_equal_losses_add_up_to_what_each_is():
    # A running sum in float32 would be .6 % off.
    shape = (4, 512, 512)
    logits = tf.zeros((*shape, 2))
    found = tf.function(pixels.cross_entropy)(tf.zeros(shape, "uint8"), logits, tf.ones(2))
    assert float(found) == pytest.approx(np.log(2), rel=1e-5)


def test_of_equal_logits_the_first_is_the_largest():
    logits = np.array([[[[1, 3, 3], [2, 0, 2], [-1, -1, -1]]]], "float32")
    for run in (pixels.largest, tf.function(pixels.largest)):
        found = run(tf.constant(logits))
        assert found.dtype == "int32"
        np.testing.assert_array_equal(found, [[[1, 0, 0]]])


def test_a_graph_that_does_not_know_the_size_of_pictures_takes_every_size():
    largest = tf.function(
        pixels.largest, input_signature=[tf.TensorSpec((None, None, None, CLASSES))]
    )
    logits = np.random.default_rng(0).normal(size=(2, 3, 4, CLASSES)).astype("float32")
    np.testing.assert_array_equal(largest(logits), logits.argmax(-1))
