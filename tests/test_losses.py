"""The loss of a segmentation against loops over pixels: void, class weights, extremes."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from src.data.examples import Split
from src.training.losses import PixelCrossEntropy, median_frequency

CLASSES = 4


def oracle(truth, logits, weights):
    """Loss and gradient, pixel by pixel, in double precision; void has no weight in the table."""
    total, counted, gradient = 0.0, 0, np.zeros(logits.shape)
    for at in np.ndindex(*truth.shape):
        if truth[at] >= len(weights):
            continue
        x = logits[at].astype(float)
        exponentials = np.exp(x - x.max())
        share = exponentials / exponentials.sum()
        total -= weights[truth[at]] * math.log(share[truth[at]])
        counted += 1
        gradient[at] = weights[truth[at]] * (share - np.eye(len(weights))[truth[at]])
    return total / max(counted, 1), gradient / max(counted, 1)


def loss_and_gradient(loss, truth, logits):
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(truth, x)
    return float(value), np.asarray(tape.gradient(value, x))


@pytest.mark.parametrize("void", [None, CLASSES, 11, 255])
@pytest.mark.parametrize("weights", [None, (0.2, 1.0, 3.5, 0.0)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (2, 1, 7)])
def test_loss_and_gradient_are_those_of_loops(void, weights, shape):
    generator = np.random.default_rng(len(shape) + sum(shape))
    truth = generator.integers(0, CLASSES, shape).astype(np.uint8)
    if void is not None:
        truth[generator.random(shape) < 0.3] = void
    logits = generator.normal(0, 3, (*shape, CLASSES)).astype(np.float32)
    expected, gradient = oracle(truth, logits, weights or [1.0] * CLASSES)
    found = loss_and_gradient(PixelCrossEntropy(CLASSES, weights), truth, logits)
    assert found[0] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-4, atol=1e-7)
    assert (found[1][truth >= CLASSES] == 0).all()


def test_two_pixels_by_hand():
    # Probabilities 3 : 1, so losses log 4/3 and log 4; weighted 1 and 2, over two pixels of three.
    logits = np.log([[[[3.0, 1.0], [3.0, 1.0], [1.0, 9.0]]]]).astype(np.float32)
    loss = PixelCrossEntropy(2, (1.0, 2.0))
    expected = (math.log(4 / 3) + 2 * math.log(4)) / 2
    assert float(loss(np.array([[[0, 1, 255]]]), logits)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("void", [CLASSES, 255])
def test_nothing_but_void_has_no_loss_and_no_gradient(void):
    logits = np.random.default_rng(0).normal(size=(2, 3, 3, CLASSES)).astype(np.float32)
    loss, gradient = loss_and_gradient(
        PixelCrossEntropy(CLASSES), np.full((2, 3, 3), void, np.uint8), logits
    )
    assert loss == 0.0
    assert (gradient == 0).all()


def test_large_logits_neither_overflow_nor_lose_digits():
    logits = np.array([[[[1e4, 1e4 - 1, -1e4, 0]]]], np.float32)
    found, gradient = loss_and_gradient(PixelCrossEntropy(CLASSES), np.array([[[1]]]), logits)
    assert found == pytest.approx(1 + math.log1p(math.exp(-1)), rel=1e-6)
    assert np.isfinite(gradient).all()


def test_without_void_and_weights_it_is_keras_own_loss():
    generator = np.random.default_rng(1)
    truth = generator.integers(0, CLASSES, (2, 5, 6))
    logits = generator.normal(size=(2, 5, 6, CLASSES)).astype(np.float32)
    keras_own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = loss_and_gradient(PixelCrossEntropy(CLASSES), truth, logits)
    wanted = loss_and_gradient(keras_own, truth, logits)
    assert found[0] == pytest.approx(wanted[0], rel=1e-6)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-8)


def test_each_replica_of_a_distributed_step_takes_its_share_of_the_loss(monkeypatch):
    class Two:
        num_replicas_in_sync = 2

    truth, logits = np.zeros((1, 2, 2), np.int32), np.zeros((1, 2, 2, CLASSES), np.float32)
    alone = float(PixelCrossEntropy(CLASSES)(truth, logits))
    monkeypatch.setattr(tf.distribute, "get_strategy", Two)
    assert float(PixelCrossEntropy(CLASSES)(truth, logits)) == pytest.approx(alone / 2)


def test_logits_of_mixed_precision_are_summed_up_in_float32():
    logits = ops.cast(np.ones((1, 2, 2, CLASSES)), "bfloat16")
    loss = PixelCrossEntropy(CLASSES)(np.zeros((1, 2, 2)), logits)
    assert float(loss) == pytest.approx(math.log(4), rel=1e-6)


# ------------------------------------------------------------------------------- class weights


def test_counts_and_weights_by_hand():
    masks = np.array(
        [
            [[0, 0], [0, 1]],  # 4 pixels that hold 0 and 1
            [[0, 2], [9, 9]],  # 2 pixels that hold 0 and 2, 2 of void
        ],
        np.uint8,
    )
    pixels, present = Split(np.zeros((2, 2, 2, 1), np.uint8), masks).class_counts(4)
    assert pixels.dtype == present.dtype == np.int64
    assert pixels.tolist() == [4, 1, 1, 0]
    assert present.tolist() == [6, 4, 2, 0]
    # Frequencies 4/6, 1/4 and 1/2, whose median is 1/2; class 3 is in no mask.
    weights = median_frequency(pixels, present)
    assert weights == pytest.approx((3 / 4, 2, 1, 1))
    assert tuple(json.loads(json.dumps(weights))) == weights  # as a run's folder keeps them


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_loops(seed):
    generator = np.random.default_rng(seed)
    masks = generator.integers(0, 6, (7, 3, 4)).astype(np.uint8)
    masks[0] = 255
    pixels, present = Split(np.zeros((7, 3, 4, 1), np.uint8), masks).class_counts(5)
    for label in range(5):
        assert pixels[label] == sum(int((mask == label).sum()) for mask in masks)
        holding = [mask for mask in masks if (mask == label).any()]
        assert present[label] == sum(int((mask < 5).sum()) for mask in holding)


def test_masks_of_nothing_but_void_weigh_all_classes_alike():
    assert median_frequency(np.zeros(3, int), np.zeros(3, int)) == (1, 1, 1)
