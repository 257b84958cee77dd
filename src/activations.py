"""The strongest activations of each map of a network, over all pictures of a split or in one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from src.data import pipeline
from src.data.examples import Examples
from src.errors import UserError


class Pictures:
    """The pictures of a split, in their order."""

    def __init__(self, part: Examples) -> None:
        self._part = part

    def __len__(self) -> int:
        return len(self._part)

    def batches(self) -> Iterator[np.ndarray]:
        """All of them, floats in [0, 1] `[batch, height, width, channels]`."""
        yield from self._read(self._part)

    def some(self, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Those of some numbers beside these, ascending, each once."""
        wanted = np.unique(list(numbers))
        read = (picture for batch in self._read(self._part[wanted]) for picture in batch)
        yield from zip(wanted.tolist(), read, strict=True)

    def _read(self, part: Examples) -> Iterator[np.ndarray]:
        with pipeline.graph_errors():
            for images, _ in pipeline.evaluation_batches(part, lambda *pair: pair):
                yield images.numpy()


class OneByOne(Pictures):
    """Pictures of any size, of which one at a time is in memory.

    Args:
        count: how many.
        read: reads the one of a number, floats in [0, 1] `[height, width, channels]`.
    """

    def __init__(self, count: int, read: Callable[[int], np.ndarray]) -> None:
        self._count, self._picture = count, read

    def __len__(self) -> int:
        return self._count

    def batches(self) -> Iterator[np.ndarray]:
        """All of them, each as a batch of one."""
        for number in range(self._count):
            yield self._picture(number)[None]

    def some(self, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Those of some numbers beside these, ascending, each once."""
        for number in sorted(set(numbers)):
            yield number, self._picture(number)


@dataclass(frozen=True)
class Strongest:
    """The strongest activations of each map of a layer, the strongest first.

    Attributes:
        values: `[maps, top]`; fewer where there are fewer pictures.
        examples: number of the picture, `[maps, top]`.
        places: row and column, `[maps, top, 2]`.
    """

    values: np.ndarray
    examples: np.ndarray
    places: np.ndarray


def strongest(model: keras.Model, layer: str, batches: Iterable[np.ndarray], top: int) -> Strongest:
    """Finds each map's strongest activations in one pass, at most one a picture.

    Only one batch and the strongest so far are in memory at a time.

    Args:
        model: the network.
        layer: name of the layer.
        batches: pictures `[batch, height, width, channels]`.
        top: how many.
    """
    peaks = _peaks(model, layer)
    kept: list[np.ndarray] | None = None
    seen = 0
    for pictures in batches:
        values, rows, columns = (part.numpy().T for part in peaks(pictures))
        numbers = np.broadcast_to(seen + np.arange(len(pictures)), values.shape)
        new = [values, numbers, rows, columns]
        if kept:
            new = [np.concatenate(pair, axis=1) for pair in zip(kept, new, strict=True)]
        # A stable sort: of equal activations the first in the split's order is shown.
        order = np.argsort(-new[0], axis=1, kind="stable")[:, :top]
        kept = [np.take_along_axis(part, order, axis=1) for part in new]
        seen += len(pictures)
    if kept is None:
        raise UserError("expected pictures to look at; received none")
    values, examples, rows, columns = kept
    return Strongest(values, examples, np.stack([rows, columns], axis=-1))


@functools.lru_cache(64)
def _peaks(
    model: keras.Model, layer: str
) -> Callable[[Any], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Finds the largest element of each map of each picture, and where it is; `[batch, maps]`."""
    network = keras.Model(model.inputs, output(model, layer))

    @tf.function(input_signature=[signature(network)])
    def peaks(pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        maps = network(pictures, training=False)
        if len(maps.shape) == 2:
            return maps, tf.zeros_like(maps, tf.int64), tf.zeros_like(maps, tf.int64)
        width = tf.cast(tf.shape(maps)[2], tf.int64)
        flat = tf.reshape(maps, (tf.shape(maps)[0], -1, maps.shape[3]))
        at = tf.argmax(flat, axis=1)
        return tf.reduce_max(flat, axis=1), at // width, at % width

    # Called as it is, TensorFlow warns that one function is traced again and again, once a layer.
    return peaks.get_concrete_function()


def signature(network: keras.Model) -> tf.TensorSpec:
    """The form of a network's pictures, any number of them."""
    return tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)


def output(model: keras.Model, layer: str) -> keras.KerasTensor:
    """A layer's output; of several outputs the first."""
    return keras.tree.flatten(model.get_layer(layer).output)[0]
