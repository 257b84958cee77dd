"""A new dense layer on a network that others have trained, whose weights stay as they are at first.

Donahue et al., "DeCAF: a deep convolutional activation feature for generic visual recognition"
(2014): the means of the last maps over all places are features of a picture, from which a linear
classifier learns from few examples.
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from src import config
from src.config.backbones import BACKBONES
from src.models import pretrained


def build(model: config.Transfer, input_shape: config.Shape, classes: int) -> keras.Model:
    """Builds the network; its output is one logit a class.

    Args:
        model: its options.
        input_shape: height, width and channels, 1 or 3.
        classes: number of classes.
    """
    side = model.size or BACKBONES[model.backbone].size
    backbone = pretrained.build(model.backbone, input_shape, side)
    # Normalisation by batch also keeps its statistics then: Keras runs it as in evaluation.
    backbone.trainable = False
    if model.fine_tune:
        for layer in pretrained.last_blocks(backbone, model.backbone, model.fine_tune):
            layer.trainable = not isinstance(layer, layers.BatchNormalization)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="features")(backbone.output)
    x = layers.Dropout(model.dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name=pretrained.HEAD)(x)
    return keras.Model(backbone.input, logits, name="transfer")


def published(model: config.Transfer) -> Path:
    """The file that `model.weights=imagenet` means, downloaded if need be.

    Raises:
        UserError: it cannot be had.
    """
    return pretrained.published(model.backbone)


def load_weights(network: keras.Model, model: config.Transfer) -> str:
    """Gives the backbone its weights; returns what was loaded, in a line.

    Raises:
        UserError: they cannot be had, or are another network's.
    """
    pretrained.load_weights(network, model.backbone, model.weights)
    return f"{model.backbone} has the weights of {model.weights}"
