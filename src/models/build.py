"""Models by their registered names."""

from __future__ import annotations

import importlib
from typing import Any

import keras

from src import config
from src.errors import UserError


def build(model: config.Model, input_shape: config.Shape, classes: int) -> keras.Model:
    """Builds a model: the section `src/config/models/x.py` is built by `src/models/x.py`.

    Args:
        model: its options.
        input_shape: height, width and channels; None for a side of any length.
        classes: number of classes.

    Raises:
        UserError: the images have more than one size, and the model takes one only.
    """
    if not model.any_size and None in input_shape:
        raise UserError(f"expected images of one size for model={model.name}; received several")
    return _page(model).build(model, input_shape, classes)


def load_weights(network: keras.Model, model: config.Model) -> str:
    """Gives a network the weights that `model.weights` names; returns what was loaded, in a line.

    Raises:
        UserError: they cannot be had, or are another network's.
    """
    return _page(model).load_weights(network, model)


def _page(model: config.Model) -> Any:
    return importlib.import_module(f"src.models.{type(model).__module__.rpartition('.')[2]}")
