"""Draws, again and again while a network is trained, what excites a few maps of its layers most."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from src import figures, files
from src.activations import Pictures, strongest
from src.config import Method
from src.data.splits import spread
from src.errors import UserError
from src.experiment import Experiment
from src.experiment.training import Rows, callback_list
from src.explanation import Explainer
from src.figures.evolution import evolution, strip
from src.models.build import build
from src.training.output import log, writing_events
from src.training.plan import Plan
from src.training.saver import Saver

_LAYERS, _MAPS, _COLUMNS, _PICTURES, _PIXELS = 6, 6, 10, 200, 2**21
_MOST = 1 << 20  # Bytes of a strip.


class Evolution(keras.callbacks.Callback):
    """Draws `figures/evolution-<layer>.png`, a column each time, and the same in TensorBoard.

    Each column is a small picture of its own, `figures/evolution/<layer>-<step>.png`, so that a run
    that goes on has those from before. What fails here is said and ends this, not the run.

    Args:
        run: what is trained.
        every: steps between two drawings.
        step: where the run begins; columns of later steps are removed.
    """

    def __init__(self, run: Experiment, every: int, step: int) -> None:
        super().__init__()
        self.run, self.every = run, every
        self.figures = run.folder / "figures"
        self.strips = self.figures / "evolution"
        self.explainer: Explainer | None = None
        for path in self.strips.glob("*-*.png"):
            if _step(path) > step:
                path.unlink()
        self.failed = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the weights before the first step."""
        if not int(self.model.optimizer.iterations.numpy()):
            self._try(0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws when it is time to."""
        step = int(self.model.optimizer.iterations.numpy())
        if step % self.every == 0:
            self._try(step)

    def _try(self, step: int) -> None:
        if self.failed:
            return
        try:
            self._draw(step)
        # No figure is worth a run.
        except Exception as error:
            self.failed = True
            log.warning("evolution: %s: %s", type(error).__name__, files.clipped(error))

    def _draw(self, step: int) -> None:
        explainer = self.explainer = self.explainer or _explainer(self.run)
        network = explainer.untrained
        with self.model.averaged():
            network.set_weights(self.run.model.network().get_weights())
        self.strips.mkdir(parents=True, exist_ok=True)
        names = explainer.layers()
        for layer in [names[i] for i in spread(len(names), _LAYERS)]:
            found = strongest(network, layer, explainer.pictures.batches(), 1)
            maps = [int(number) for number in spread(len(found.values), _MAPS)]
            method = _method(explainer, layer)
            drawn = explainer.maps(network, layer, found, maps, [method])
            column = strip([each.projections[method][0] for each in drawn])
            figures.save_png(self.strips / f"{layer}-{step:09d}.png", column)
            picture = evolution(f"{layer}, {method}", maps, self._columns(layer, column.shape))
            figures.save_png(self.figures / f"evolution-{layer}.png", picture)
            with writing_events(), self.run.events.writer.as_default(step):
                tf.summary.image(f"evolution/{layer}", picture[None])

    def _columns(self, layer: str, shape: tuple[int, ...]) -> dict[int, figures.Picture]:
        """At most ten of the drawings, the first and the last among them."""
        paths = sorted(self.strips.glob(f"{layer}-{'[0-9]' * 9}.png"))
        shown = np.unique(np.linspace(0, len(paths) - 1, _COLUMNS).round().astype(int))
        found = {_step(paths[i]): _read(paths[i]) for i in shown}
        return {step: picture for step, picture in found.items() if picture.shape == shape}


def callbacks(
    run: Experiment, plan: Plan, step: int, rows: Rows, saver: Saver
) -> list[keras.callbacks.Callback]:
    """What happens around the steps; what is drawn is on the disk before its checkpoint."""
    chosen = callback_list(run, plan, step, rows, saver)
    if every := run.settings.trainer.explain_every:
        chosen.insert(chosen.index(saver), Evolution(run, every, step))
    return chosen


def _explainer(run: Experiment) -> Explainer:
    """One for the run's network, in float32, and for fixed pictures of its validation set."""
    part = run.data.splits["val"]
    height, width, channels = part.training_shape
    most = max(1, min(_PICTURES, _PIXELS // (height * width)))
    pictures = Pictures(part[spread(len(part), most)].arrays())
    policy, settings = keras.config.dtype_policy(), run.settings
    try:
        return Explainer(
            lambda size: build(settings.model, size, len(run.data.classes)),
            *(pictures, (height, width, channels), settings.seed),
        )
    finally:
        keras.config.set_dtype_policy(policy)


def _method(explainer: Explainer, layer: str) -> Method:
    """DeconvNet where it is defined, else the gradient."""
    try:
        explainer.check([layer], ["deconvnet"])
    except UserError:
        return "saliency"
    return "deconvnet"


def _step(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _read(path: Path) -> figures.Picture:
    with Image.open(io.BytesIO(files.read(path, _MOST)), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))
