"""LeNet-5 as published and in its modern form.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

from __future__ import annotations

import keras
from keras import layers

from src import config
from src.layers import C3_TABLE, EuclideanRbf, SparseConv2D, Subsampling2D, digit_codes, scaled_tanh


def build(model: config.LeNet5, input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds LeNet-5, which returns logits for images `[batch, height, width, channels]` in [0, 1].

    Args:
        model: its options.
        input_shape: `(height, width, channels)`; what is smaller than the 32x32 of the paper is
            padded to it, and from what is larger F6 sees more than one place of C5.
        classes: number of logits; 10 for the Euclidean output, which has bitmaps for digits only.
    """
    sparse = model.c3 == "sparse"
    x = inputs = keras.Input(input_shape, name="image")
    lacking = [max(0, 32 - side) for side in input_shape[:2]]
    if any(lacking):
        margins = [(lack // 2, lack - lack // 2) for lack in lacking]
        x = layers.ZeroPadding2D(margins, name="pad")(x)
    # Background -0.1 and ink 1.175 make the pixels' mean about 0 and variance about 1 (II-B).
    x = layers.Rescaling(1.275, offset=-0.1, name="normalise")(x)

    def squash(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Activation(scaled_tanh)(x)

    def subsample(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return (Subsampling2D(name=name) if sparse else layers.AveragePooling2D(2, name=name))(x)

    x = squash(layers.Conv2D(6, 5, name="c1")(x))
    x = squash(subsample(x, "s2"))
    c3 = SparseConv2D(C3_TABLE, name="c3") if sparse else layers.Conv2D(16, 5, name="c3")
    x = squash(c3(x))
    x = squash(subsample(x, "s4"))
    x = squash(layers.Conv2D(120, 5, name="c5")(x))
    x = layers.Flatten(name="flatten")(x)
    x = squash(layers.Dense(84, name="f6")(x))
    if model.rbf:
        logits = EuclideanRbf(digit_codes(), dtype="float32", name="output")(x)
    else:
        logits = layers.Dense(classes, dtype="float32", name="output")(x)
    return keras.Model(inputs, logits, name="lenet5")
