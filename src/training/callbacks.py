"""What happens beside the training steps, in the order in which it must happen.

`Journal` writes down, `Gallery` draws, `Saver` makes sure that nothing of it is lost, `Bar` shows
progress. All of them count steps with the optimizer, over the whole run.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import tensorflow as tf
from tqdm import tqdm

from src import runs
from src.data.dataset import Split
from src.errors import UserError
from src.training.checkpoints import Checkpoint, Checkpoints
from src.training.output import Drawing, log
from src.training.plan import Plan
from src.training.tasks import Task

Logs = dict[str, Any]


class Interrupted(Exception):
    """The run was asked to end; its state has been saved."""


class _Counting(keras.callbacks.Callback):
    @property
    def step(self) -> int:
        """Steps trained since the run began."""
        return int(self.model.optimizer.iterations)


class Journal(_Counting):
    """Writes each epoch to `metrics.jsonl`, to TensorBoard and to the log.

    Args:
        folder: the run's.
        plan: how long it is.
        history: rows that have been written already.
    """

    def __init__(self, folder: Path, plan: Plan, history: list[Logs]) -> None:
        super().__init__()
        self.file = folder / runs.METRICS
        self.writers = {
            part: tf.summary.create_file_writer(str(folder / "tensorboard" / part))
            for part in ("train", "val")
        }
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
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise UserError(
                f"expected a finite loss; received {loss=} by step {self.step}"
                " (a smaller optimizer.learning_rate may help)"
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the epoch down."""
        step, seconds = self.step, self.ended - self.begun
        values = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(self.model.optimizer.learning_rate)
        speed = (step - self.first_step) * self.plan.batch_size / seconds
        row = {"epoch": epoch + 1, "step": step, **values, "learning_rate": rate}
        row |= {"seconds": round(seconds, 3), "images_per_second": round(speed, 1)}
        self.history.append(row)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        with self.writers["train"].as_default(step):
            for name, value in values.items():
                if not name.startswith("val_"):
                    tf.summary.scalar(name, value)
            tf.summary.scalar("learning_rate", rate)
            tf.summary.scalar("images_per_second", speed)
            for weight in self.model.trainable_weights:
                tf.summary.histogram(f"weights/{weight.path}", weight)
        with self.writers["val"].as_default(step):
            for name, value in values.items():
                if name.startswith("val_"):
                    tf.summary.scalar(name.removeprefix("val_"), value)
        for writer in self.writers.values():
            writer.flush()
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.info("epoch %d/%d  %s  %.0f images/s", epoch + 1, self.plan.epochs, shown, speed)


class Gallery(_Counting):
    """Draws the same validation examples, and what the metric has counted, after each epoch.

    Args:
        task: what is drawn.
        examples: the fixed examples.
        inputs: the same, as the model takes them.
        draw: writes pictures named after the epoch.
    """

    def __init__(self, task: Task, examples: Split, inputs: tf.Tensor, draw: Drawing) -> None:
        super().__init__()
        self.task = task
        self.examples = examples
        self.inputs = inputs
        self.draw = draw

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Draws the epoch."""
        with self.model.averaged():
            outputs = self.model.predict_on_batch(self.inputs)
        pictures = self.task.sketch(self.examples, outputs) | self.task.tally()
        self.draw(f"epoch-{epoch + 1:04d}", pictures, self.step)


class Averaging(keras.callbacks.Callback):
    """Validates with the moving averages, where the model keeps any."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Puts the averages in the place of the weights."""
        self.swap = self.model.averaged()
        self.swap.__enter__()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Puts the weights back, bit for bit."""
        self.swap.__exit__(None, None, None)


class Saver(_Counting):
    """Saves a checkpoint after each epoch, every few steps if asked, and when told to stop.

    Also ends the run early where the watched metric has stopped improving.

    Args:
        checkpoints: where to.
        task: knows the watched metric.
        plan: knows where an epoch ends.
        patience: epochs without improvement after which the run ends; None to run to the end.
    """

    def __init__(
        self, checkpoints: Checkpoints, task: Task, plan: Plan, patience: int | None
    ) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.task = task
        self.plan = plan
        self.patience = patience
        self.best: float | None = None
        self.best_step: int | None = None
        self.waited = 0
        self.stopping = False
        self.resumed: Checkpoint | None = None

    def resume(self, checkpoint: Checkpoint) -> None:
        """Takes the model, which is compiled, and itself back to a checkpoint."""
        checkpoint.restore(self.model)
        checkpoint.assign("random", self._groups()["random"])
        self.resumed = checkpoint
        self.best, self.waited = checkpoint.state["best"], checkpoint.state["waited"]
        self.best_step = checkpoint.state["best_step"] if self.best is not None else None

    @property
    def done(self) -> bool:
        """Whether the patience is spent."""
        return self.patience is not None and self.waited >= self.patience

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Gives the running metrics back to an epoch that was stopped inside."""
        if self.resumed and self.resumed.step % self.plan.steps_per_epoch:
            self.resumed.assign("metrics", self._groups()["metrics"])
        self.resumed = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Saves if it is time to.

        Raises:
            Interrupted: after a signal, once the state is on disk.
        """
        step, every = self.step, self.plan.checkpoint_every
        inside = step % self.plan.steps_per_epoch and step < self.plan.steps
        if inside and (self.stopping or (every and step % every == 0)):
            self._save(step)
            self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves, and takes note if the watched metric has improved.

        Raises:
            Interrupted: after a signal, once the state is on disk.
        """
        score = float((logs or {})[f"val_{self.task.watched}"])
        self.waited += 1
        if self.task.better(score, self.best):
            self.best, self.best_step, self.waited = score, self.step, 0
        self._save(self.step)
        self._stop_if_asked()
        self.model.stop_training = self.done

    def _stop_if_asked(self) -> None:
        if self.stopping:
            raise Interrupted

    def _groups(self) -> dict[str, list[keras.Variable]]:
        weights = {id(variable) for variable in self.model.weights}
        return {
            "random": [v for v in self.model.variables if id(v) not in weights],
            # Not `metrics_variables`, which lacks the scores until the first batch.
            "metrics": [*self.model.metrics[0].variables, *self.task.scores.variables],
            "averages": self.model.averages.variables,
        }

    def _save(self, step: int) -> None:
        state = {
            "step": step,
            "watched": self.task.watched,
            "best": self.best,
            # Until an epoch has ended, the best there is is the last.
            "best_step": step if self.best_step is None else self.best_step,
            "waited": self.waited,
        }
        self.checkpoints.save(self.model, self._groups(), state)

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Within the block the first SIGINT or SIGTERM stops after the step, the second at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self.stopping:
                raise KeyboardInterrupt
            self.stopping = True

        signals = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, stop) for number in signals}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class Bar(_Counting):
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
