"""What excites the maps of a trained network, shown as in figure 2 of Zeiler and Fergus (2014)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from src import config
from src.activations import Pictures, Strongest, output, signature, strongest
from src.errors import UserError
from src.figures import Picture, projections
from src.figures.projections import Group, Map
from src.models import layer_table, pretrained
from src.models.build import build, expect_memory
from src.models.deconvnet import activation_kind, deconvnet
from src.prediction import Facts
from src.training.checkpoints import Checkpoints
from src.training.model import TrainingModel

_MOST_MAPS, _UNTRAINED_MAPS = 9, 3
_SHOWN = (
    "What these pictures show: the pixels of one picture through which an activation came about, "
    "by the network's weights and the places of its maxima. What they do not show: that the map "
    "looks for this and nothing else, or what a decision hangs on. DeconvNet and guided "
    "backpropagation restore parts of the picture whatever the weights are (Nie, Zhang, Patel "
    "2018): what looks alike with random weights was not learned."
)


class Explainer:
    """A network, trained and with random weights, and the pictures it is shown.

    Args:
        network: builds it for pictures of a shape.
        pictures: what it is shown.
        shape: of the pictures; None for a side that differs.
        seed: of the random weights.
        ema: decay of the averages of its weights; None where there are none.
    """

    def __init__(
        self,
        network: Callable[[config.Shape], keras.Model],
        pictures: Pictures,
        shape: config.Shape,
        seed: int = 0,
        ema: float | None = None,
    ) -> None:
        # Gradients in bfloat16 would show its rounding.
        keras.config.set_dtype_policy("float32")
        keras.utils.set_random_seed(seed)
        self._network = functools.lru_cache(16)(network)
        self.pictures = pictures
        self.untrained = network(shape)
        self.model = TrainingModel(network(shape), ema)
        self.step = 0

    @classmethod
    def of_run(
        cls,
        trained: config.Train,
        folder: Path,
        checkpoint: str,
        pictures: Pictures,
        shape: config.Shape,
    ) -> Explainer:
        """That of a run's network.

        Args:
            trained: the run's configuration.
            folder: the run's.
            checkpoint: `best` or `last`.
            pictures: what it is shown.
            shape: of the pictures; None for a side that differs.

        Raises:
            UserError: the checkpoint is missing or damaged, or the run's data is not described.
        """
        classes = len(Facts.of(folder).classes)
        expect_memory(trained.model, shape, classes)
        explainer = cls(
            lambda size: build(trained.model, size, classes),
            *(pictures, shape, trained.seed, trained.trainer.ema),
        )
        saved = Checkpoints(folder / "checkpoints").named(checkpoint)
        saved.restore(explainer.model)
        explainer.step = saved.step
        return explainer

    @classmethod
    def from_elsewhere(cls, network: config.Network, pictures: Pictures) -> Explainer:
        """That of a network of `keras.applications`, for pictures of any size.

        Raises:
            UserError: its weights cannot be had, or are another network's.
        """
        assert network.name
        assert network.weights
        name = network.name
        explainer = cls(lambda size: pretrained.build(name, size), pictures, (None, None, 3))
        pretrained.load_weights(explainer.model.network(), name, network.weights)
        return explainer

    def layers(self) -> list[str]:
        """Those with maps and an activation, but for the network's output."""
        return [
            layer.name
            for layer in self.model.layers
            if activation_kind(layer) != "none"
            and len(layer.output.shape) == 4
            and layer.output is not self.model.outputs[0]
        ]

    def check(self, names: Sequence[str], methods: Sequence[config.Method]) -> None:
        """Makes sure, before the first layer is drawn, that all can be.

        Raises:
            UserError: there is no such layer, or no such method for it.
        """
        for name in names:
            for method in methods:
                deconvnet(self.model, name, method)

    def sheet(
        self,
        layer: str,
        maps: str | int | list[int],
        top: int,
        methods: Sequence[config.Method],
    ) -> Picture:
        """Draws what excites a layer's maps, and the same with random weights.

        Args:
            layer: its name.
            maps: `strongest`, `all`, or numbers.
            top: how many activations of each.
            methods: side by side.

        Raises:
            UserError: a map is none of the layer's.
        """
        with self.model.averaged():
            found = strongest(self.model, layer, self.pictures.batches(), top)
            chosen = _chosen(layer, maps, found)
            trained = self.maps(self.model, layer, found, chosen, methods)
        found = strongest(self.untrained, layer, self.pictures.batches(), top)
        chosen = _ranked(found)[: _UNTRAINED_MAPS if len(methods) == 1 else 1]
        untrained = self.maps(self.untrained, layer, found, chosen, methods)
        groups = [
            Group(layer, "each map's strongest activations, projected to the pixels", trained),
            Group(f"{layer} with random weights", "the strongest maps", untrained),
        ]
        return projections(groups, [self._legend(layer), _SHOWN])

    def _legend(self, layer: str) -> str:
        fields = self._fields(layer, next(iter(self.pictures.batches())).shape[1:])
        if fields is None:
            cut = "One element sees the whole picture."
        else:
            height, width = (field.receptive_field.size for field in fields)
            cut = (
                f"One element sees {width}x{height} pixels, and both are cut to these; pale blue "
                "lies outside the picture."
            )
        return (
            "Above a map: its number, and its strongest activation. Grey is zero; each projection "
            f"has its own scale, on which its largest number is white or black. {cut}"
        )

    def _fields(self, layer: str, shape: tuple[int, ...]) -> Any:
        """What the layer's elements see along either axis; None for all of the picture."""
        try:
            return layer_table.maps(self._network(shape), layer)
        # A layer that the table does not know, as a network of one's own may have.
        except ValueError:
            return None

    def maps(
        self,
        model: keras.Model,
        layer: str,
        found: Strongest,
        chosen: Sequence[int],
        methods: Sequence[config.Method],
    ) -> list[Map]:
        """What excites some maps of a model, projected to the pixels."""
        walks = {method: _walk(model, layer, method) for method in methods}
        drawn = []
        for number in chosen:
            pictures, places = self.pictures.some(found.examples[number]), found.places[number]
            shapes = [picture.shape for picture in pictures]
            spans = [self._span(layer, *each) for each in zip(shapes, places, strict=True)]
            sizes = [(len(rows), len(columns)) for rows, columns in spans]
            cell = max(high for high, _ in sizes), max(wide for _, wide in sizes)
            projected: dict[str, list[np.ndarray]] = {
                method: [
                    _cut(walk(picture[None], np.int64(number), place[None])[0].numpy(), span, cell)
                    for picture, place, span in zip(pictures, places, spans, strict=True)
                ]
                for method, walk in walks.items()
            }
            patches = [_cut(*each, cell) for each in zip(pictures, spans, strict=True)]
            drawn.append(Map(f"map {number}: {found.values[number, 0]:.3g}", projected, patches))
        return drawn

    def _span(self, layer: str, shape: tuple[int, ...], place: np.ndarray) -> tuple[range, range]:
        """Rows and columns that an element sees; they may reach beyond the picture."""
        fields = self._fields(layer, shape)
        if fields is None:
            return range(shape[0]), range(shape[1])
        spans = []
        for field, size, at in zip(fields, shape[:2], place, strict=True):
            extent = field.receptive_field.size
            first, _ = field.sees(int(at), int(at))
            spans.append(range(first, first + extent) if extent < size else range(size))
        return spans[0], spans[1]


@functools.lru_cache(64)
def _walk(model: keras.Model, layer: str, method: config.Method) -> Callable[..., tf.Tensor]:
    """What projects pictures' activations of a map, one a picture, back to the pixels."""
    upwards = keras.Model(model.inputs, output(model, layer))
    downwards = deconvnet(model, layer, method)

    place = tf.TensorSpec((None, 2), tf.int64)

    @tf.function(input_signature=[signature(model), tf.TensorSpec((), tf.int64), place])
    def walk(pictures: tf.Tensor, number: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(upwards(pictures, training=False), tf.int64)
        batch = tf.range(shape[0])[:, None]
        maps = tf.fill([shape[0], 1], number)
        where = [batch, places, maps] if shape.shape[0] == 4 else [batch, maps]
        seeds = tf.scatter_nd(tf.concat(where, axis=1), tf.ones(shape[0]), shape)
        return downwards([pictures, seeds], training=False)

    return walk.get_concrete_function()


def _chosen(layer: str, maps: str | int | list[int], found: Strongest) -> list[int]:
    """Numbers of the maps to draw."""
    count = len(found.values)
    if maps == "all":
        return list(range(count))
    if isinstance(maps, str):
        return _ranked(found)[:_MOST_MAPS]
    numbers = [maps] if isinstance(maps, int) else list(dict.fromkeys(maps))
    if max(numbers) >= count:
        raise UserError(
            f"expected maps= from 0 to {count - 1} for layer={layer}; received {max(numbers)}"
        )
    return numbers


def _ranked(found: Strongest) -> list[int]:
    """The maps, those with the strongest activations first."""
    return np.argsort(-found.values[:, 0], kind="stable").tolist()


def _cut(picture: np.ndarray, span: tuple[range, range], cell: tuple[int, int]) -> np.ndarray:
    """The part of a picture, in a cell of a size; what lies outside the picture is NaN."""
    part = np.full((*cell, picture.shape[2]), np.nan, np.float32)
    rows, columns = (
        range(max(0, wanted.start), min(size, wanted.stop))
        for wanted, size in zip(span, picture.shape[:2], strict=True)
    )
    top, left = rows.start - span[0].start, columns.start - span[1].start
    inside = picture[rows.start : rows.stop, columns.start : columns.stop]
    part[top : top + len(rows), left : left + len(columns)] = inside
    return part
