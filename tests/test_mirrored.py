"""The mean over a picture and its mirror image, by hand."""

import keras
import numpy as np
import pytest

from src.training.mirrored import Mirrored

PICTURE = np.array([[[1, 2, 4]]], "float32").reshape(1, 1, 3, 1)


@keras.saving.register_keras_serializable("tests")
class _Shift(keras.layers.Layer):
    """Moves a map one pixel to the right, which no mirror image does."""

    def call(self, x):
        return keras.ops.pad(x, [(0, 0), (0, 0), (1, 0), (0, 0)])[:, :, :-1]


def test_a_map_is_mirrored_back():
    inputs = keras.Input((1, 3, 1))
    model = Mirrored(keras.Model(inputs, _Shift()(inputs)))
    # [0 1 2] of the picture; [0 4 2] of its mirror image, which is [2 4 0] the right way round.
    found = model.predict_on_batch(PICTURE)
    assert found.ravel().tolist() == [1, 2.5, 1]
    mirrored = model.predict_on_batch(PICTURE[:, :, ::-1])
    np.testing.assert_array_equal(mirrored, found[:, :, ::-1])


def test_logits_of_a_picture_are_averaged():
    inputs = keras.Input((1, 3, 1))
    flat = keras.layers.Flatten()(inputs)
    model = Mirrored(keras.Model(inputs, flat))
    assert model.predict_on_batch(PICTURE).tolist() == [[2.5, 2, 2.5]]


def test_it_is_evaluated_with_the_losses_of_the_layers():
    inputs = keras.Input((1, 3, 1))
    outputs = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.5))(inputs)
    inner = keras.Model(inputs, outputs)
    model = Mirrored(inner)
    model.compile(loss="mse")
    inner.set_weights([np.full((1, 1), 2.0), np.zeros(1)])
    # Twice the pixels is off by the pixels: (1 + 4 + 16) / 3; and 0.5 * 2**2.
    assert model.evaluate(PICTURE, PICTURE, verbose=0) == pytest.approx(7 + 2)
