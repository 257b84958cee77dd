"""What a network makes of pictures before its last step: the code, or a classifier's features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from src.data import pipeline
from src.data.examples import Examples, Split
from src.data.splits import spread
from src.training.feature_store import Featured

# Enough to see groups; TensorBoard's projector works in the browser, from files of text.
_MOST = 2000
_NUMBERS = 500_000
_LARGEST = 4096


@dataclass(frozen=True)
class Features:
    """Examples of a split as points.

    Attributes:
        values: `[examples, numbers]`, float32.
        images: uint8 `[examples, height, width, channels]`.
        labels: `[examples]`; None where an example has no one label.
    """

    values: NDArray[np.float32]
    images: NDArray[np.uint8]
    labels: NDArray[np.integer] | None


def features_of(
    model: keras.Model,
    layer: keras.KerasTensor | None,
    split: Examples,
    preprocess: pipeline.Preprocess,
) -> Features | None:
    """Computes the features of examples from everywhere in a split.

    They are 2,000 at most, and fewer where each has many numbers.

    Args:
        model: a functional model.
        layer: the output of one of its layers, which is flattened; None for none.
        split: with one example or more.
        preprocess: makes the model's input and target.

    Returns:
        None without a layer, or where it has more numbers an example than a viewer can take.
    """
    if isinstance(split, Featured):
        some = split[spread(len(split), min(_MOST, _NUMBERS // split.values.shape[-1]))]
        return Features(np.asarray(some.values[0]), some.arrays().images, some.targets)
    if layer is None:
        return None
    numbers = math.prod(size or _LARGEST + 1 for size in layer.shape[1:])
    if numbers > _LARGEST:
        return None
    examples = split[spread(len(split), min(_MOST, _NUMBERS // numbers))].arrays()
    inner = keras.Model(model.inputs, layer)
    parts = [
        np.asarray(inner(pipeline.inputs(part, preprocess), training=False), np.float32)
        for part in _parts(examples)
    ]
    values = np.concatenate(parts)
    labels = examples.targets if examples.targets.ndim == 1 else None
    return Features(values.reshape(len(values), -1), examples.images, labels)


def before_last(model: keras.Model) -> keras.KerasTensor | None:
    """What the layer that makes the output is given; None if that is more than one thing."""
    last = model.outputs[0]._keras_history.operation
    given = last.input
    return given if isinstance(given, keras.KerasTensor) else None


def _parts(examples: Split, size: int = 250) -> list[Split]:
    return [examples[begin : begin + size] for begin in range(0, len(examples), size)]
