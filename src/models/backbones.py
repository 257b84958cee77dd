"""Backbones of segmentation networks: five stages, each ending in a pooling.

Stage n halves the picture for the nth time. SAME pooling rounds up and pads last, so that pixel 0
of every map lies over pixel 0 of the picture, whatever the picture's size.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers

from src import config
from src.layers import MaxPoolWithArgmax2D
from src.models import vgg16

# Feature maps of each stage of `small`, as multiples of `model.filters`.
_WIDTHS = (1, 3, 6, 8, 8)


class Stage(NamedTuple):
    """A stage that was built.

    Attributes:
        convolutions: how many.
        filters: feature maps of each.
        before: what is pooled.
        pooled: the stage's output.
        indices: where the maxima were; None where nobody asked.
    """

    convolutions: int
    filters: int
    before: keras.KerasTensor
    pooled: keras.KerasTensor
    indices: keras.KerasTensor | None


def encode(image: keras.KerasTensor, model: config.Fcn) -> list[Stage]:
    """Builds the backbone over a picture.

    `small` normalises by batch from the second stage on; `vgg16` is as published and does not.

    Raises:
        ValueError: vgg16 is given neither one channel nor three.
    """
    published = model.backbone == "vgg16"
    filters_ = [width * model.filters for width in _WIDTHS]
    plan = vgg16.STAGES if published else zip(model.convolutions, filters_, strict=True)
    x = vgg16.CaffeScaling(dtype="float32", name="scaling")(image) if published else image
    stages = []
    for stage, (convolutions, filters) in enumerate(plan, start=1):
        for number in range(1, convolutions + 1):
            # At full size normalising costs more than it gives.
            x = convolve(x, filters, f"conv{stage}_{number}", not published and stage > 1)
        before, indices = x, None
        if model.decoder == "unpool":
            x, indices = MaxPoolWithArgmax2D(2, padding="same", name=f"pool{stage}")(x)
        else:
            x = layers.MaxPooling2D(2, padding="same", name=f"pool{stage}")(x)
        stages.append(Stage(convolutions, filters, before, x, indices))
    return stages


def fully_connected(x: keras.KerasTensor) -> keras.KerasTensor:
    """VGG16's two layers of 4096 units, slid over the map as convolutions, with dropout."""
    for number, kernel in ((6, 7), (7, 1)):
        x = layers.Conv2D(
            vgg16.FULLY_CONNECTED,
            kernel,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"fc{number}",
        )(x)
        x = layers.Dropout(0.5, name=f"drop{number}")(x)
    return x


def convolve(x: keras.KerasTensor, filters: int, name: str, normalised: bool) -> keras.KerasTensor:
    """A 3x3 convolution with a rectifier, and batch normalisation between them if asked."""
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=not normalised,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    if normalised:
        # Keras' own momentum, .99, is behind the weights in every run of a few hundred steps.
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
