"""The LeNet of MNIST tutorials: wide, with rectifiers, max pooling and dropout."""

from __future__ import annotations

import keras
from keras import layers

from src import config


def build(model: config.LeNetMnist, input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds the 28x28 form: 32@5x5, 64@5x5, both SAME and max-pooled, 512 units, dropout.

    It returns logits for images `[batch, height, width, channels]` in [0, 1].
    1,663,370 parameters on 28x28x1 with 10 classes and 32 filters.

    Args:
        model: its options.
        input_shape: `(height, width, channels)`.
        classes: number of logits.
    """
    # Keras' L2(a) is a|w|^2, TensorFlow 1's is a/2 |w|^2.
    decay = keras.regularizers.L2(model.l2 / 2) if model.l2 else None
    # What suits rectifiers (He et al. 2015, equation 10).
    kernel = {"kernel_initializer": "he_normal", "kernel_regularizer": decay}
    x = inputs = keras.Input(input_shape, name="image")
    # MNIST's mean and deviation. With this and the initialisation, plain SGD at a low rate comes as
    # far in a sixth of the steps.
    x = layers.Rescaling(1 / 0.3081, offset=-0.1307 / 0.3081, name="normalise")(x)
    for name, filters in (("conv1", model.filters), ("conv2", 2 * model.filters)):
        x = layers.Conv2D(filters, 5, padding="same", activation="relu", name=name, **kernel)(x)
        x = layers.MaxPooling2D(name=f"pool{name[-1]}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(512, activation="relu", name="fc1", **kernel)(x)
    x = layers.Dropout(model.dropout, name="dropout")(x)
    logits = layers.Dense(classes, kernel_regularizer=decay, dtype="float32", name="output")(x)
    return keras.Model(inputs, logits, name="lenet_mnist")
