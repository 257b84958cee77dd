"""Models by their registered names."""

from __future__ import annotations

import keras

from src import config
from src.errors import UserError
from src.models.autoencoder import build_autoencoder
from src.models.fcn import build_fcn
from src.models.lenet5 import build_lenet5
from src.models.lenet_mnist import build_lenet_mnist


def build(model: config.Model, input_shape: config.Shape, classes: int) -> keras.Model:
    """Builds a model by its registered name.

    Args:
        model: its options.
        input_shape: height, width and channels; None for a side of any length.
        classes: number of classes.

    Raises:
        UserError: the images have more than one size, and the model takes one only.
    """
    if isinstance(model, config.Fcn):
        return build_fcn(model, input_shape, classes)
    height, width, channels = input_shape
    if height is None or width is None:
        raise UserError(f"expected images of one size for model={model.name}; received several")
    shape = height, width, channels
    match model:
        case config.LeNet5():
            return build_lenet5(model, shape, classes)
        case config.LeNetMnist():
            return build_lenet_mnist(model, shape, classes)
        case config.Autoencoder():
            return build_autoencoder(model, shape)
