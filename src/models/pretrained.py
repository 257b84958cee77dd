"""Networks of `keras.applications` that others have trained, each with its preprocessing.

They take pictures in [0, 1] as all networks here do; their preprocessing is their first layer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import keras
from keras import layers

from src import config
from src.config.backbones import BACKBONES, BackboneName
from src.models import weight_files
from src.models.vgg16 import CaffeScaling

# Name of the layer that is put on top of them.
HEAD = "logits"


def build(
    backbone: BackboneName, input_shape: config.Shape, side: int | None = None
) -> keras.Model:
    """Builds a network without its classifier, with random weights.

    Its layers have the names that `keras.applications` gives them in a process of their own,
    however many networks there are.

    Args:
        backbone: its name.
        input_shape: height, width and channels, 1 or 3; None for a side of any length. Grey
            pictures count as three equal channels.
        side: height and width that pictures are resized to; None to leave them.

    Returns:
        A functional model of `[batch, height, width, channels]` to its last maps.
    """
    image = keras.Input(input_shape, name="image")
    facts, resized = BACKBONES[backbone], image
    if side and input_shape[:2] != (side, side):
        resized = layers.Resizing(side, side, dtype="float32", name="resized")(image)
    make = getattr(keras.applications, facts.application)
    network = make(include_top=False, weights=None, input_tensor=_scaled(resized, facts.scaling))
    model = keras.Model(image, network.output, name=backbone)
    _number_by_class(model)
    return model


def load_weights(model: keras.Model, backbone: BackboneName, weights: str) -> None:
    """Gives a network that `build` has built the weights that others trained.

    Args:
        model: whose weights they become; it may have a layer on top.
        backbone: its name.
        weights: a file that Keras wrote; `imagenet` to download Keras' own; `random` for none.

    Raises:
        UserError: they cannot be had, or are another network's.
    """
    if weights == "random":
        return
    weighted = [layer for layer in model.layers if layer.weights and layer.name != HEAD]
    path = published(backbone) if weights == "imagenet" else Path(weights)
    weight_files.load(weighted, path)


def published(backbone: BackboneName) -> Path:
    """The file of a network's weights that Keras publishes, downloaded if need be.

    Raises:
        UserError: it cannot be had.
    """
    return weight_files.published(BACKBONES[backbone].file, BACKBONES[backbone].md5)


def last_blocks(model: keras.Model, backbone: BackboneName, count: int) -> list[keras.layers.Layer]:
    """The layers of a network's last blocks, and those behind them.

    Args:
        model: what `build` has built.
        backbone: its name.
        count: how many blocks, from 1 to all.
    """
    ends: dict[str, int] = {}
    for place, layer in enumerate(model.layers):
        if found := re.match(BACKBONES[backbone].block, layer.name):
            ends[found[0]] = place
    # Each block takes what the one before has made and nothing from before that.
    begin = [-1, *sorted(ends.values())[:-1]][-count] + 1
    return model.layers[begin:]


def _scaled(image: keras.KerasTensor, scaling: str | tuple[float, float]) -> keras.KerasTensor:
    if isinstance(scaling, str):
        return CaffeScaling(dtype="float32", name="scaling")(image)
    if image.shape[-1] == 1:
        image = layers.Concatenate(name="grey_as_rgb")([image] * 3)
    factor, summand = scaling
    return layers.Rescaling(factor, summand, dtype="float32", name="scaling")(image)


def _number_by_class(model: keras.Model) -> None:
    """Names layers without a name of their own as a process would that builds nothing else.

    Keras counts them over all networks of a process: the second network's first `conv2d` would be
    its `conv2d_94`.
    """
    counted: dict[str, list[tuple[int, keras.layers.Layer]]] = defaultdict(list)
    for layer in model.layers:
        kind = weight_files.kind_of(layer)
        if found := re.fullmatch(rf"{kind}(?:_(\d+))?", layer.name):
            counted[kind].append((int(found[1] or 0), layer))
    for kind, some in counted.items():
        for number, (_, layer) in enumerate(sorted(some, key=lambda each: each[0])):
            layer.name = f"{kind}_{number}" if number else kind
