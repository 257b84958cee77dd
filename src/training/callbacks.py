"""What is seen of the training: `MetricsLogger`, `FigureLogger` and `ProgressBar`.

They count steps with the optimizer, over the whole run. `SwapAverages` has the validation, and so
what they log and draw, use the moving averages.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tqdm import tqdm

from src import files, runs
from src.data.examples import Split
from src.errors import UserError
from src.training.output import Events, log, writing_events
from src.training.plan import Plan
from src.training.tasks import Task

Logs = dict[str, Any]
_COLUMNS = 80


class _Counting(keras.callbacks.Callback):
    @property
    def step(self) -> int:
        """Steps trained since the run began."""
        return int(self.model.optimizer.iterations.numpy())


class FiniteLoss(_Counting):
    """Ends a run whose loss is not finite."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Looks at the loss.

        Raises:
            UserError: it is not finite.
        """
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise UserError(
                f"expected a finite loss; received {loss=} at step {self.model.failed_step}"
                " (a smaller optimizer.learning_rate may help; the checkpoints are from before)"
            )


class MetricsLogger(FiniteLoss):
    """Writes each epoch to `metrics.jsonl`, to TensorBoard and to the log.

    Args:
        folder: the run's.
        plan: how long it is.
        history: rows that have been written already.
        task: scores the classes one by one, for TensorBoard.
        events: of the run.
    """

    def __init__(
        self, folder: Path, plan: Plan, history: list[Logs], task: Task, events: Events
    ) -> None:
        super().__init__()
        self.task = task
        self.place, self.file = runs.Place(folder), folder / runs.METRICS
        self.events = events
        self.plan = plan
        self.history = history

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the clock."""
        self.first_step, self.begun = self.step, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Reads the clock, so that validation and pictures are not counted as training.

        Raises:
            UserError: the loss is not finite.
        """
        self.ended = time.perf_counter()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the epoch down."""
        step, seconds = self.step, self.ended - self.begun
        values = {name: float(value) for name, value in (logs or {}).items()}
        # JSON has no NaN, which is the score of no examples.
        known = {name: v if math.isfinite(v) else None for name, v in values.items()}
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        speed = (step - self.first_step) * self.plan.batch_size / seconds
        row = {"epoch": epoch + 1, "step": step, **known, "learning_rate": rate}
        row |= {"seconds": round(seconds, 3), "images_per_second": round(speed, 1)}
        self.history.append(row)
        self.place.check()
        with files.open_to_append(self.file) as file:
            file.write((json.dumps(row) + "\n").encode())
            file.flush()
            # The checkpoint that follows counts on it.
            os.fsync(file.fileno())
        with writing_events():
            self._write_curves(step, values, {"learning_rate": rate, "images_per_second": speed})
        log.info(
            "%s", _line(f"epoch {epoch + 1}/{self.plan.epochs}", values, self.task.watched, speed)
        )

    def _write_curves(self, step: int, values: Logs, more: Logs) -> None:
        with self.events.writer.as_default(step):
            for name, value in values.items():
                split = "val" if name.startswith("val_") else "train"
                tf.summary.scalar(f"{name.removeprefix('val_')}/{split}", value)
            for name, value in more.items():
                tf.summary.scalar(f"training/{name}", value)
            for weight in self.model.trainable_weights:
                tf.summary.histogram(f"weights/{weight.path}", weight)
            for score, classes in self.task.by_class().items():
                for name, share in classes.items():
                    if share is not None:
                        tf.summary.scalar(f"{score}/{name}", share)
            self.events.writer.flush()


def _line(epoch: str, values: Logs, watched: str, speed: float) -> str:
    """What there is to say of an epoch in one row of a terminal, the training's numbers first."""
    loss, score = _both(values, "loss", 3), _both(values, watched, 4)
    # The loss of an autoencoder is its score.
    same = _both(values, watched, 3) == loss
    shown = [f"{watched} {score}"] if same else [f"loss {loss}", f"{watched} {score}"]
    shown.append(f"{speed:.0f} images/s")
    line = "  ".join([f"{epoch}  train/val {shown[0]}", *shown[1:]])
    return line if len(line) <= _COLUMNS else "  ".join([epoch, *shown])


def _both(values: Logs, name: str, digits: int) -> str:
    """Training and validation; a score that is NaN is a dash."""
    both = values[name], values[f"val_{name}"]
    return "/".join(f"{value:.{digits}g}" if math.isfinite(value) else "-" for value in both)


class FigureLogger(_Counting):
    """Draws the same validation examples, and what the metric has counted, after each epoch.

    Args:
        task: what is drawn.
        examples: the fixed examples.
        inputs: the same, as the model takes them.
        events: of the run.
    """

    def __init__(self, task: Task, examples: Split, inputs: tf.Tensor, events: Events) -> None:
        super().__init__()
        self.task = task
        self.examples = examples
        self.inputs = inputs
        self.events = events

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Draws the epoch."""
        pictures = self.task.draw_counts()
        if self.task.draws_examples:
            with self.model.averaged():
                outputs = self.model.predict_on_batch(self.inputs)
            inputs = np.asarray(self.inputs)
            pictures = self.task.draw_examples(self.examples, inputs, outputs) | pictures
        self.events.write_epoch(epoch + 1, pictures, self.step)


class SwapAverages(keras.callbacks.Callback):
    """Validates with the moving averages, where the model keeps any."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Puts the averages in the place of the weights."""
        self.swap = self.model.averaged()
        self.swap.__enter__()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Puts the weights back, bit for bit."""
        self.swap.__exit__(None, None, None)


class ProgressBar(_Counting):
    """One bar for the whole run on a terminal, nothing elsewhere (the log has a line an epoch).

    Args:
        plan: how long the run is.
        step: where it begins.
        watched: the metric to show beside the loss.
    """

    def __init__(self, plan: Plan, step: int, watched: str) -> None:
        super().__init__()
        self.batch_size = plan.batch_size
        self.watched = watched
        self.bar = tqdm(
            total=plan.steps * plan.batch_size,
            initial=step * plan.batch_size,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
            leave=False,
        )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar."""
        values = logs or {}
        shown = {name: values[name] for name in ("loss", self.watched) if name in values}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(self.step * self.batch_size - self.bar.n)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Takes the bar off the terminal."""
        self.bar.clear()
