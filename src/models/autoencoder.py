"""A convolutional encoder to a short code and a decoder that grows it back to the image.

The layer `code` holds the code: `keras.Model(model.input, model.get_layer("code").output)` encodes.
"""

from __future__ import annotations

import keras
from keras import layers

from src import config
from src.layers import AverageUnpool2D, MaxPoolWithArgmax2D, MaxUnpool2D

# A dense layer on either side of the code, and a smooth activation, each took a tenth off the
# error of a plain encoder with ReLU at equal time.
_HIDDEN = 256


def build(
    model: config.Autoencoder, input_shape: tuple[int, int, int], classes: int = 0
) -> keras.Model:
    """Builds the autoencoder; its output is the reconstruction, in [0, 1] like its input.

    With `decoder=max_unpool` the encoder's switches go round the code to the decoder: the picture
    is then no longer drawn from `latent` numbers alone, and its error says little about them.

    Args:
        model: its options.
        input_shape: `(height, width, channels)`; 4 divides height and width.
        classes: of the data set, which an autoencoder does not ask for.

    Raises:
        ValueError: if 4 does not divide height and width.
    """
    del classes
    height, width, channels = input_shape
    if height % 4 or width % 4:
        raise ValueError(f"expected height and width that 4 divides; received {input_shape=}")
    inputs = keras.Input(input_shape, name="image")
    x, switches = _encode(inputs, model)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(_HIDDEN, activation="silu", name="narrow")(x)
    code = layers.Dense(model.latent, name="code")(x)
    grid = (height // 4, width // 4, 2 * model.filters)
    y = layers.Dense(_HIDDEN, activation="silu", name="widen")(code)
    y = layers.Dense(grid[0] * grid[1] * grid[2], activation="silu", name="expand")(y)
    y = layers.Reshape(grid, name="grid")(y)
    pixels = _decode(y, switches, model, channels)
    outputs = layers.Activation("sigmoid", dtype="float32", name="reconstruction")(pixels)
    return keras.Model(inputs, outputs, name="autoencoder")


def _encode(
    x: keras.KerasTensor, model: config.Autoencoder
) -> tuple[keras.KerasTensor, list[tuple[keras.KerasTensor, keras.KerasTensor]]]:
    """Halves the picture twice; returns the maps, and for each halving `(before, indices)`."""
    switches = []
    for level, filters in ((1, model.filters), (2, 2 * model.filters)):
        strides = 2 if model.decoder == "deconv" else 1
        x = layers.Conv2D(
            filters, 5, strides, padding="same", activation="silu", name=f"conv{level}"
        )(x)
        if model.decoder == "max_unpool":
            before = x
            x, indices = MaxPoolWithArgmax2D(2, name=f"pool{level}")(x)
            switches.append((before, indices))
        elif model.decoder == "average_unpool":
            x = layers.AveragePooling2D(2, name=f"pool{level}")(x)
    return x, switches


def _decode(
    x: keras.KerasTensor,
    switches: list[tuple[keras.KerasTensor, keras.KerasTensor]],
    model: config.Autoencoder,
    channels: int,
) -> keras.KerasTensor:
    """Doubles the maps twice, down to `channels` maps the size of the picture."""
    for level, filters in ((2, model.filters), (1, channels)):
        strides = 2 if model.decoder == "deconv" else 1
        if model.decoder == "max_unpool":
            before, indices = switches[level - 1]
            x = MaxUnpool2D(name=f"unpool{level}")(x, indices, like=before)
        elif model.decoder == "average_unpool":
            x = AverageUnpool2D(2, name=f"unpool{level}")(x)
        activation = "silu" if level == 2 else None
        x = layers.Conv2DTranspose(
            filters, 5, strides, padding="same", activation=activation, name=f"deconv{level}"
        )(x)
    return x
