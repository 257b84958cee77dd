"""Models by their registered names."""

from __future__ import annotations

import importlib

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
    page = importlib.import_module(f"src.models.{type(model).__module__.rpartition('.')[2]}")
    return page.build(model, input_shape, classes)
