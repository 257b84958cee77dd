"""A fully convolutional network with skips.

Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", 2015: class
scores at strides 32, 16 and 8 are added up, each upsampled by a transposed convolution that starts
as bilinear interpolation. The backbone here is small and trained from scratch.
"""

from __future__ import annotations

import keras
from keras import layers

from src import config
from src.models.initializers import Bilinear

# Convolutions and width of each stage; the third, on whose maps the finest scores stand, has the
# most of them.
_BACKBONE = ((1, 1), (1, 3), (3, 6), (2, 8), (1, 8))


def build_fcn(model: config.Fcn, input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Builds the network; its output is one logit a class for each pixel of the input.

    Args:
        model: its options.
        input_shape: `(height, width, channels)`, any size from `model.stride` up.
        classes: number of classes, the background included.
    """
    x = inputs = keras.Input(input_shape, name="image")
    stages = {}
    for stage, (convolutions, width) in enumerate(_BACKBONE, start=1):
        for number in range(1, convolutions + 1):
            # At full size normalising costs more than it gives.
            x = _convolution(x, width * model.filters, f"conv{stage}_{number}", stage > 1)
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{stage}")(x)
        stages[2**stage] = x
    fused = _score(x, classes, 32)
    for stride in (16, 8):
        if stride >= model.stride:
            skip = _score(stages[stride], classes, stride)
            fused = layers.Add(name=f"fuse{stride}")([_upsample(fused, 2, skip, model), skip])
    logits = _upsample(fused, model.stride, inputs, model)
    logits = layers.Activation("linear", dtype="float32", name="logits")(logits)
    return keras.Model(inputs, logits, name="fcn")


def _convolution(
    x: keras.KerasTensor, filters: int, name: str, normalised: bool
) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=not normalised, name=name)(x)
    if normalised:
        x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _score(x: keras.KerasTensor, classes: int, stride: int) -> keras.KerasTensor:
    """Class scores from zero, so that a skip changes nothing until it has learned (section 4.2)."""
    return layers.Conv2D(classes, 1, kernel_initializer="zeros", name=f"score{stride}")(x)


def _upsample(
    x: keras.KerasTensor, factor: int, like: keras.KerasTensor, model: config.Fcn
) -> keras.KerasTensor:
    """Upsamples by `factor` and crops to the size of `like`.

    SAME pooling puts the padding last, so output pixel 0 belongs to score 0 and the surplus is cut
    off at the end. Asking the transposed convolution for the size of `like` would shift instead.
    """
    classes = x.shape[-1]
    x = layers.Conv2DTranspose(
        classes,
        2 * factor - factor % 2,
        strides=factor,
        padding="same",
        use_bias=False,
        kernel_initializer=Bilinear(),
        trainable=not model.freeze_upsampling,
        name=f"upsample{like.shape[1]}x{like.shape[2]}",
    )(x)
    surplus = [(0, x.shape[axis] - like.shape[axis]) for axis in (1, 2)]
    if any(last for _, last in surplus):
        x = layers.Cropping2D(surplus)(x)
    return x
