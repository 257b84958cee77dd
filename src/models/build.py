"""Models by their registered names."""

from __future__ import annotations

import importlib
from typing import Any

import keras

from src import config, machine
from src.errors import UserError

# Bytes of a weight; how many numbers a weight is when it is trained by Adam.
_WEIGHT, _TRAINED = 4, 4


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


def expect_memory(
    model: config.Model, input_shape: config.Shape, classes: int, trained: bool = False
) -> None:
    """Refuses a model whose weights do not fit into the memory, before any is taken for them.

    To be called before anything else is built: Keras forgets what it has named, and its policy.

    Args:
        model: its options.
        input_shape: height, width and channels; None for a side of any length.
        classes: number of classes.
        trained: whether it is to be trained: each weight then has a gradient and two numbers of
            its optimizer besides.

    Raises:
        UserError: they do not fit.
    """
    if model.features:
        # One of a few networks of a known size.
        return
    # Weights are declared, and no memory is taken for them.
    with keras.StatelessScope(initialize_variables=False):
        count = build(model, input_shape, classes).count_params()
    keras.utils.clear_session()
    needed, there = count * _WEIGHT * (_TRAINED if trained else 1), machine.memory()
    if needed > there:
        sides = "x".join("any" if side is None else str(side) for side in input_shape)
        raise UserError(
            f"expected a model that fits into {there / 2**30:.1f} GiB of memory; received "
            f"model={model.name} on {sides} with {count:,} parameters, {needed / 2**30:.1f} GiB"
            f"{' in training' if trained else ''}"
        )


def fetch_weights(model: config.Model) -> None:
    """Downloads the weights that `model.weights=imagenet` means, if Keras has not kept them.

    Raises:
        UserError: they cannot be had.
    """
    if getattr(model, "weights", None) == "imagenet":
        _page(model).published(model)


def load_weights(network: keras.Model, model: config.Model) -> str:
    """Gives a network the weights that `model.weights` names; returns what was loaded, in a line.

    Raises:
        UserError: they cannot be had, or are another network's.
    """
    return _page(model).load_weights(network, model)


def _page(model: config.Model) -> Any:
    return importlib.import_module(f"src.models.{type(model).__module__.rpartition('.')[2]}")
