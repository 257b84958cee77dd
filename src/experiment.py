"""The composition root: from a configuration to data, model, task and run folder."""

from __future__ import annotations

import platform
import statistics
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tqdm.contrib.logging import logging_redirect_tqdm

from src import config, machine, runs
from src.data import pipeline, sources
from src.data.dataset import DataSet, Split
from src.errors import UserError
from src.models.build import build
from src.training import callbacks, history, losses, optimizers, output
from src.training.averages import AveragedModel
from src.training.checkpoints import Checkpoint, Checkpoints
from src.training.evaluation import evaluate
from src.training.plan import Plan
from src.training.saver import Interrupted, Progress, Saver
from src.training.tasks import for_task
from src.training.warm_start import warm_start

# One call into TensorFlow trains about this many pixels, some tenths of a second: Ctrl-C and the
# progress bar wait no longer, and the cost of the call does not count.
_PIXELS_PER_CALL = 2500 * 28 * 28


def resolved(settings: config.Train) -> config.Train:
    """Writes out what was left to the machine, and where the data lies."""
    data = sources.pinned(settings.data)
    return machine.resolved(settings).model_copy(update={"data": data})


def check_own_data(folder: Path, data: DataSet, *splits: str) -> None:
    """Refuses data that is not what a run was trained on, whatever its name.

    Args:
        folder: the run's.
        data: what was found.
        splits: those that have to be the run's own; no other is read.

    Raises:
        UserError: the examples are others.
    """
    own = runs.read_results(folder).get("data")
    if own and any(own.get("digests", {}).get(name) != data.digests[name] for name in splits):
        raise UserError(
            f"expected the run's own data, {own['source']}; received other examples from "
            f"{data.source} (src.eval takes data= to evaluate on other data)"
        )


def last_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """A run's newest whole checkpoint, and what is wrong with each newer one.

    Returns:
        None if the run ended before its first checkpoint.

    Raises:
        UserError: there are checkpoints, but none is whole.
    """
    checkpoints = Checkpoints(folder / "checkpoints")
    if not any(checkpoints.folder.glob("step-*")):
        return None, []
    return checkpoints.last()


class Experiment:
    """A run's data, model and task, and the folder that all of it is written to.

    Args:
        settings: the run's configuration, resolved.
        folder: the run's.
        data: the data set.
    """

    def __init__(self, settings: config.Train, folder: Path, data: DataSet) -> None:
        bfloat16 = settings.trainer.precision == "bfloat16"
        keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
        keras.utils.set_random_seed(settings.seed)
        self.settings = settings
        self.folder = folder
        self.data = data
        self.class_weights = self._weigh_classes() if settings.trainer.class_weights else None
        smoothing = settings.trainer.label_smoothing
        self.task = for_task(settings.model.task, data, self.class_weights, smoothing)
        # What a picture measures is known only once it is read, unlike a digit.
        shape = settings.data.image_shape if settings.data.one_size else data.image_shape
        model = build(settings.model, shape, len(data.classes))
        self.model = AveragedModel(model, settings.trainer.ema, settings.trainer.shards or 1)
        self.checkpoints = Checkpoints(folder / "checkpoints", settings.trainer.keep)
        self.draw = output.drawing(folder)

    def _weigh_classes(self) -> tuple[float, ...]:
        """The weights that the run has written down, or else those of its training masks."""
        names = self.data.classes
        known = runs.read_results(self.folder).get("class_weights") or []
        if len(known) == len(names):
            return tuple(known)
        weights = losses.median_frequency(*self.data.splits["train"].class_counts(len(names)))
        shown = (f"{name} {weight:.3g}" for name, weight in zip(names, weights, strict=True))
        output.log.info("class weights: %s", ", ".join(shown))
        return weights

    def train(self, checkpoint: Checkpoint | None) -> bool:
        """Trains as planned and writes `results.json`.

        Args:
            checkpoint: where to go on from; None to begin.

        Returns:
            False if the run was asked to stop before its end.
        """
        train, trainer = self.data.splits["train"], self.settings.trainer
        plan = Plan.of(trainer, len(train))
        step = checkpoint.step if checkpoint else 0
        height, width, _ = train.training_shape
        pixels = trainer.batch_size * height * width
        self.model.compile(
            optimizers.build(self.settings.optimizer, plan.steps, plan.steps_per_epoch),
            loss=self.task.loss,
            metrics=[self.task.scores],
            steps_per_execution=plan.steps_per_call(max(1, _PIXELS_PER_CALL // pixels), step),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        optimizer = self.settings.optimizer
        plateau = optimizer.plateau_epochs if optimizer.schedule == "plateau" else None
        progress = Progress(self.task, trainer.patience, plateau, optimizer.decay)
        saver = Saver(self.checkpoints, plan, progress)
        saver.set_model(self.model)
        if checkpoint:
            saver.resume(checkpoint)
        else:
            warm_start(self.model, self.settings.model)
        rows = history.rewind_metrics(self.folder / runs.METRICS, step)
        history.rewind_events(self.folder / "tensorboard", step)
        if not step:
            output.write_graph(self.folder, self.model)
        examples, inputs = self._examples("val")
        watchers = [
            callbacks.Averaging(),
            callbacks.Journal(self.folder, plan, rows, self.task),
            callbacks.Gallery(self.task, examples, inputs, self.draw),
            saver,
            callbacks.Bar(plan, step, self.task.watched),
        ]
        earlier = runs.read_results(self.folder).get("seconds", 0.0)
        self._record(rows, "running", earlier)
        begun = time.perf_counter()
        redirected = logging_redirect_tqdm([output.log])
        with redirected, saver.heeding_signals(), pipeline.telling_errors():
            finished = self._fit(plan, step, saver, watchers)
        seconds = earlier + time.perf_counter() - begun
        self._record(rows, "finished" if finished else "interrupted", round(seconds, 3))
        return finished

    def _examples(self, split: str) -> tuple[Split, tf.Tensor]:
        """The fixed examples that the pictures show, and the same as the model takes them."""
        examples = self.data.splits[split][: self.settings.trainer.pictures].arrays()
        return examples, pipeline.inputs(examples, self.task.pair)

    def _fit(
        self,
        plan: Plan,
        step: int,
        saver: Saver,
        watchers: list[keras.callbacks.Callback],
    ) -> bool:
        train, val = self.data.splits["train"], self.data.splits["val"]
        validation = pipeline.evaluation_batches(val, self.task.pair)
        try:
            for first, last in plan.stretches(step):
                if saver.progress.done:
                    break
                epoch = first // plan.steps_per_epoch
                length = min(last - first, plan.steps_per_epoch)
                self.model.fit(
                    pipeline.training_batches(
                        train, self.task.pair, plan.batch_size, self.settings.seed, first, last
                    ),
                    initial_epoch=epoch,
                    epochs=epoch + (last - first) // length,
                    steps_per_epoch=length,
                    shuffle=False,
                    validation_data=validation,
                    callbacks=watchers,
                    verbose=0,
                )
        except Interrupted:
            return False
        return True

    def _record(self, rows: list[dict[str, Any]], status: str, seconds: float) -> None:
        """Writes what the training has come to; the evaluations are added to it."""
        best: dict[str, Any] = {}
        watched = f"val_{self.task.watched}"
        for row in rows:
            if self.task.better(row[watched], best.get(watched)):
                best = row
        speeds = [row["images_per_second"] for row in rows]
        names = [name for name in best if f"val_{name}" in best]
        runs.write_results(
            self.folder,
            {
                **runs.read_results(self.folder),
                "model": self.settings.model.name,
                "status": status,
                "data": {
                    "name": self.data.name,
                    "source": self.data.source,
                    "digest": self.data.digest,
                    "kind": self.data.kind,
                    "image_shape": self.model.input_shape[1:],
                    "classes": self.data.classes,
                    "colours": self.data.colours,
                    "void": self.data.void,
                    "digests": dict(self.data.digests),
                },
                "class_weights": self.class_weights,
                "seed": self.settings.seed,
                "parameters": self.model.count_params(),
                "steps": int(self.model.optimizer.iterations),
                "seconds": seconds,
                "images_per_second": statistics.median(speeds) if speeds else None,
                "precision": self.settings.trainer.precision,
                "shards": self.settings.trainer.shards,
                "versions": {
                    "python": platform.python_version(),
                    "tensorflow": tf.__version__,
                    "keras": keras.__version__,
                },
                "metrics": {"train": {name: best[name] for name in names}},
            },
        )

    def evaluate(self, checkpoint: str, split: str, own_data: bool = True) -> dict[str, float]:
        """Evaluates a checkpoint on a split; adds metrics and pictures to the run.

        Args:
            checkpoint: `best` or `last`.
            split: `train`, `val` or `test`.
            own_data: whether the data set is the one that the run was trained on.

        Returns:
            The metrics by name, and the baselines where the task has any.

        Raises:
            UserError: the checkpoint is missing, damaged, or of another model, or the data is not
                the run's own although it should be.
        """
        results = runs.read_results(self.folder)
        if own_data:
            check_own_data(self.folder, self.data, split)
        saved = self.checkpoints.named(checkpoint)
        saved.restore(self.model)
        if not self.model.compiled:
            self.model.compile(loss=self.task.loss, metrics=[self.task.scores])
        part = self.data.splits[split]
        batches = pipeline.evaluation_batches(part, self.task.pair)
        examples, inputs = self._examples(split)
        with self.model.averaged(), pipeline.telling_errors():
            metrics, targets, outputs = evaluate(self.model, batches, self.task.reviews)
            pictures, by_class = self.task.tally(), self.task.by_class()
            pictures |= self.task.sketch(examples, self.model.predict_on_batch(inputs))
        if targets is not None and outputs is not None:
            pictures |= self.task.review(part, targets, outputs)
        label = f"{checkpoint}-{split}" if own_data else f"{checkpoint}-{split}-{self.data.name}"
        self.draw(label, pictures, saved.step)
        baselines = self._baselines(results, split, own_data)
        evaluation = {"step": saved.step, "data": self.data.source, **metrics, **baselines}
        evaluation |= by_class
        results.setdefault("evaluations", {})[label] = evaluation
        if own_data and checkpoint == "best":
            results.setdefault("metrics", {})[split] = metrics
        runs.write_results(self.folder, results)
        return metrics | baselines

    def _baselines(self, results: dict[str, Any], split: str, own_data: bool) -> dict[str, float]:
        """What simple methods reach; on the run's own data, which never change, worked out once."""
        known = results.get("baselines", {}).get(split) if own_data else None
        if known:
            return known
        latent = getattr(self.settings.model, "latent", None)
        found = dict(self.task.baselines(self.data.splits, split, latent))
        if found and own_data:
            check_own_data(self.folder, self.data, "train")
            results.setdefault("baselines", {})[split] = found
        return found
