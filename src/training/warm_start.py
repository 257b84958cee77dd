"""What a new run's weights begin with where it is not chance."""

from __future__ import annotations

from pathlib import Path

import keras

from src import config, runs
from src.models.build import build, load_weights
from src.training.checkpoints import Checkpoints
from src.training.model import TrainingModel
from src.training.output import log


def warm_start(model: TrainingModel, settings: config.Model) -> None:
    """Begins with published weights or with those of an earlier run, if so configured.

    Args:
        model: takes the weights, and begins its averages with them.
        settings: of the model.

    Raises:
        UserError: they cannot be had, or none of them is this model's.
    """
    if getattr(settings, "weights", None):
        log.info(load_weights(model, settings))
    if settings.init_from:
        folder = Path(settings.init_from)
        own = config.load(folder / runs.CONFIG)
        # Only pictures without classes have no number of them, and an autoencoder asks for none.
        network = build(own.model, own.data.image_shape, own.data.classes or 1)
        earlier = TrainingModel(network, own.trainer.ema)
        Checkpoints(folder / "checkpoints").named("best").restore(earlier)
        with earlier.averaged():
            copied, left = copy_layers(earlier, model)
        others = f", not of {', '.join(left)}" if left else ""
        log.info("%d layers begin as in %s%s", len(copied), folder, others)
    model.averages.restart()


def copy_layers(source: keras.Model, target: keras.Model) -> tuple[list[str], list[str]]:
    """Copies the weights of the layers that have the same name, class and shapes in two models.

    Returns:
        Names of the target's layers with weights: those that were copied, and the others.
    """
    theirs = {layer.name: layer for layer in source.layers}

    def form(layer: keras.layers.Layer | None) -> tuple[object, ...]:
        return type(layer), [tuple(weight.shape) for weight in layer.weights] if layer else []

    copied, left = [], []
    for layer in target.layers:
        if form(layer) == form(theirs.get(layer.name)) and layer.weights:
            layer.set_weights(theirs[layer.name].get_weights())
            copied.append(layer.name)
        elif layer.weights:
            left.append(layer.name)
    return copied, left
