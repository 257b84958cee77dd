"""What excites the maps of a trained network, shown as in figure 2 of Zeiler and Fergus (2014)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from src import config, layer_maps
from src.activations import Pictures, Strongest, strongest
from src.data.splits import spread
from src.errors import UserError
from src.figures import Picture, projections
from src.figures.projections import Group, Map
from src.models import layer_table, pretrained
from src.models.build import build, expect_memory
from src.models.deconvnet import activation_kind, deconvnet
from src.prediction import Facts
from src.projection import Fields, Unit, equal_cells, project
from src.training.checkpoints import Checkpoints
from src.training.model import TrainingModel

_MOST_MAPS, _UNTRAINED_MAPS, _EXAMPLES = 9, 3, 7
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
        examples: how many of the pictures are a run's fixed examples.
        ema: decay of the averages of its weights; None where there are none.
    """

    def __init__(
        self,
        network: Callable[[config.Shape], keras.Model],
        pictures: Pictures,
        shape: config.Shape,
        seed: int = 0,
        examples: int = 10,
        ema: float | None = None,
    ) -> None:
        # Gradients in bfloat16 would show its rounding.
        keras.config.set_dtype_policy("float32")
        keras.utils.set_random_seed(seed)
        self.pictures = pictures
        self.examples = spread(len(pictures), examples)[:_EXAMPLES].tolist()
        self.untrained = untrained = network(shape)

        def another(form: config.Shape) -> keras.Model:
            """The same once more. Keras gives a layer without a name another one each time."""
            made = network(form)
            for layer, first in zip(made.layers, untrained.layers, strict=True):
                layer.name = first.name
            return made

        # Of each form of pictures, what the layers' elements see; the network itself is not kept.
        self._fields = functools.lru_cache(64)(lambda form: layer_table.maps(another(form)))
        self.model = TrainingModel(another(shape), ema)
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
            *(pictures, shape, trained.seed, trained.trainer.pictures, trained.trainer.ema),
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

    def draw(
        self,
        layer: str,
        maps: str | int | list[int],
        top: int,
        methods: Sequence[config.Method],
    ) -> dict[str, Picture]:
        """Draws what excites a layer's maps and what they make of the examples.

        The former is drawn with random weights as well.

        Args:
            layer: its name.
            maps: `strongest`, `all`, or numbers.
            top: how many activations of each.
            methods: side by side.

        Returns:
            Pictures by name.

        Raises:
            UserError: a map is none of the layer's.
        """
        with self.model.averaged():
            found = strongest(self.model, layer, self.pictures.batches(), top)
            chosen = _chosen(layer, maps, found)
            trained = self.maps(self.model, layer, found, chosen, methods)
            examples = layer_maps.activations(
                self.model, layer, self.pictures, self.examples, chosen
            )
        found = strongest(self.untrained, layer, self.pictures.batches(), top)
        chosen = _ranked(found)[: _UNTRAINED_MAPS if len(methods) == 1 else 1]
        untrained = self.maps(self.untrained, layer, found, chosen, methods)
        groups = [
            Group(layer, "each map's strongest activations, projected to the pixels", trained),
            Group(f"{layer} with random weights", "the strongest maps", untrained),
        ]
        sheet = projections(groups, [self._legend(layer), _SHOWN])
        return {"explain": sheet, "activations": examples}

    def kernels(self) -> Picture | None:
        """Draws the kernels of the first convolution; None if there is none."""
        with self.model.averaged():
            return layer_maps.kernels(self.model, self.untrained)

    def _legend(self, layer: str) -> str:
        shape = next(iter(self.pictures.batches())).shape[1:]
        fields = self.fields(layer, shape)
        high, wide = (
            size if fields is None else fields[axis].receptive_field.size
            for axis, size in enumerate(shape[:2])
        )
        cut = "One element sees the whole picture."
        if high < shape[0] or wide < shape[1]:
            cut = (
                f"One element sees {wide}x{high} pixels, and both are cut to these; pale blue "
                "lies outside the picture."
            )
        return (
            "Above a map: its number, and its strongest activation. Grey is zero; each projection "
            f"has its own scale, on which its largest number is white or black. {cut}"
        )

    def fields(self, layer: str, shape: tuple[int, ...]) -> Fields | None:
        """What a layer's elements see along either axis; None for all of the picture."""
        try:
            return self._fields(shape)[layer]
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
        units = [
            Unit(number, *unit)
            for number in chosen
            for unit in zip(found.examples[number].tolist(), found.places[number], strict=True)
        ]
        fields = functools.partial(self.fields, layer)
        rectified = activation_kind(model.get_layer(layer)) == "rectifier"
        shown = iter(project(model, layer, self.pictures, units, fields, methods))
        drawn = []
        for number in chosen:
            cells = equal_cells([next(shown) for _ in found.examples[number]])
            # A rectifier that is not active has nothing to project, whatever the method would give.
            active = [not rectified or value > 0 for value in found.values[number]]
            projected: dict[str, list[np.ndarray]] = {
                method: [
                    cell.projections[method] * counts
                    for cell, counts in zip(cells, active, strict=True)
                ]
                for method in methods
            }
            most = found.values[number, 0]
            value = "never active" if rectified and not most else f"{most:.3g}"
            drawn.append(Map(f"map {number}: {value}", projected, [cell.patch for cell in cells]))
        return drawn


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
