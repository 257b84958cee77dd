"""Adam in one operation, against Keras' own and by hand."""

import keras
import numpy as np
import pytest

from src.kernels.adam import Adam
from src.training.optimizers import Schedule


@pytest.mark.parametrize("weight_decay", [None, 0.3], ids=["plain", "decayed"])
def test_adam_in_one_pass_is_keras_adam(weight_decay):
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal((7, 5)), rng.standard_normal((20, 7, 5))
    ends = []
    for kind in (Adam, keras.optimizers.Adam):
        optimizer = kind(Schedule(0.01, "cosine", 25, 5), weight_decay=weight_decay)
        weight = keras.Variable(start)
        for gradient in gradients:
            optimizer.apply([gradient.astype("float32")], [weight])
        ends.append([np.asarray(variable) for variable in (weight, *optimizer.variables)])
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_the_first_update_of_adam_is_the_learning_rate_whatever_the_gradient():
    # Its first moments, corrected, are g and g^2, whose quotient g / |g| is a sign.
    optimizer = Adam(0.25)
    weight = keras.Variable([1.0, 1.0])
    optimizer.apply([np.array([3.0, -0.01], np.float32)], [weight])
    np.testing.assert_allclose(weight, [0.75, 1.25], rtol=1e-4)
