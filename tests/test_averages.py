"""Moving averages of the weights, against TensorFlow 1's numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from src import config
from src.models.autoencoder import build as build_autoencoder
from src.training.model import TrainingModel


class _Counts(keras.layers.Layer):
    """One weight whose gradient is -1, so that SGD with rate 1 counts 1, 2, 3, ..."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(), initializer="zeros", name="count")

    def call(self, x):
        return -self.weight + 0 * x


def counting(decay, steps_per_execution=1):
    inputs = keras.Input((1,))
    model = TrainingModel(keras.Model(inputs, _Counts()(inputs)), decay)
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda truth, output: output,
        steps_per_execution=steps_per_execution,
    )
    return model


def train(model, steps):
    model.fit(np.zeros((steps, 1)), np.zeros((steps, 1)), batch_size=1, verbose=0)


def trained_in(shards):
    """Weights after two steps, what five images make, and what was logged."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    maps = keras.layers.Conv2D(4, 3, activation="tanh", kernel_regularizer="l2")(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.Flatten()(maps))
    model = TrainingModel(keras.Model(inputs, outputs), None, shards)
    model.compile(keras.optimizers.SGD(0.1), loss="mse", metrics=["mae"])
    generator = np.random.default_rng(0)
    x, y = generator.random((16, 6, 6, 1), "float32"), generator.random((16, 3), "float32")
    logs = model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
    return model.get_weights(), model.predict(x[:5], verbose=0), logs


@pytest.mark.parametrize("shards", [2, 4, 8])
def test_shards_train_and_predict_as_the_whole_batch(shards):
    (weights, outputs, logs), (others, same, again) = trained_in(1), trained_in(shards)
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-6)
    np.testing.assert_allclose(outputs, same, atol=1e-6)
    assert {name: pytest.approx(value, abs=1e-6) for name, value in logs.items()} == again


class _Counter(keras.layers.Layer):
    """Notes how many examples it is called with."""

    def call(self, x):
        self.seen = [*getattr(self, "seen", []), x.shape[0]]
        return x


def test_shards_pass_through_the_layers_one_by_one():
    inputs = keras.Input((1,))
    model = TrainingModel(keras.Model(inputs, _Counter()(inputs)), None, shards=3)
    images = np.arange(8.0).reshape(8, 1)
    np.testing.assert_array_equal(model(images), images)
    # The first call, with a symbol in place of a batch, built the layer.
    assert model.layers[-1].seen == [None, 2, 3, 3]


class _NonEmpty(keras.layers.Layer):
    """Refuses a batch of none, as TensorFlow's convolutions do."""

    def call(self, x):
        tf.debugging.assert_positive(tf.shape(x)[0])
        return tf.identity(x)


@settings(deadline=None, max_examples=40)
@given(examples=st.integers(1, 12), shards=st.integers(1, 6), known=st.booleans())
def test_no_part_of_a_batch_is_empty(examples, shards, known):
    inputs = keras.Input((2,))
    model = TrainingModel(keras.Model(inputs, _NonEmpty()(inputs)), None, shards)
    signature = None if known else [tf.TensorSpec((None, 2), tf.float32)]
    images = tf.reshape(tf.range(2.0 * examples), (examples, 2))
    outputs = tf.function(model, input_signature=signature)(images)
    np.testing.assert_array_equal(outputs, images)


@pytest.mark.parametrize("examples", [1, 2, 3])
def test_metrics_of_fewer_examples_than_shards_are_those_of_the_whole(examples):
    network = build_autoencoder(config.Autoencoder(name="autoencoder", filters=2), (8, 8, 1))
    images = np.random.default_rng(0).random((examples, 8, 8, 1), "float32")
    measured = []
    for shards in (1, 3):
        model = TrainingModel(network, None, shards)
        model.compile(loss="mse", metrics=["mae"])
        measured.append(model.evaluate(images, images, verbose=0))
    np.testing.assert_allclose(*measured, rtol=1e-6)


class _Doubling(keras.Model):
    """Passes a batch through its layers in a way of its own."""

    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training, mask=mask)
        return outputs if isinstance(inputs, keras.KerasTensor) else 2 * outputs


@pytest.mark.parametrize("shards", [1, 2])
def test_a_model_passes_batches_through_its_layers_in_its_own_way(shards):
    inputs = keras.Input((3,))
    model = TrainingModel(_Doubling(inputs, keras.layers.ReLU()(inputs)), None, shards)
    np.testing.assert_array_equal(model(np.ones((4, 3))), np.full((4, 3), 2))


def test_the_averages_warm_up_as_in_tensorflow_1():
    model, seen = counting(0.99), []
    for _ in range(5):
        train(model, 1)
        seen.append(float(model.averages.variables[0]))
    # Values 1 to 5, the shadow from 0: d = 2/11, 3/12, 4/13, 5/14, 6/15.
    np.testing.assert_allclose(seen, [0.8182, 1.7045, 2.6014, 3.5005, 4.4002], atol=5e-5)


def test_every_step_counts_however_many_one_call_trains():
    one, five = counting(0.99), counting(0.99, steps_per_execution=5)
    train(one, 5)
    train(five, 5)
    assert float(one.averages.variables[0]) == float(five.averages.variables[0])
    assert float(five.averages.variables[0]) == pytest.approx(4.4002, abs=5e-5)


def test_the_decay_is_an_upper_bound():
    model = counting(0.25)
    train(model, 3)
    # d = 2/11, then 0.25 twice: 9/11, 1.7045, 2.6761.
    assert float(model.averages.variables[0]) == pytest.approx(2.6761, abs=5e-5)


def test_raw_weights_come_back_bit_for_bit_also_after_an_error():
    model = counting(0.99)
    train(model, 3)
    with model.averaged():
        assert float(model.trainable_weights[0]) == float(model.averages.variables[0])
    assert float(model.trainable_weights[0]) == 3.0
    with pytest.raises(RuntimeError, match="inside"), model.averaged():
        raise RuntimeError("inside")
    assert float(model.trainable_weights[0]) == 3.0


def test_without_a_decay_there_are_no_averages_and_nothing_is_swapped():
    model = counting(None)
    train(model, 2)
    assert model.averages.variables == []
    with model.averaged():
        assert float(model.trainable_weights[0]) == 2.0


def test_the_first_step_whose_loss_was_not_finite_is_known_inside_a_call_of_many():
    model = counting(None, steps_per_execution=5)
    truth = np.array([[0], [0], [np.nan], [0], [0]])
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda truth, output: truth + output,
        steps_per_execution=5,
    )
    model.fit(np.zeros((5, 1)), truth, batch_size=1, shuffle=False, verbose=0)
    assert model.failed_step == 3
