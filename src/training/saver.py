"""What makes sure that no step is lost: checkpoints in time, and what they must remember.

`Progress` knows whether the watched metric still improves, `Saver` writes the run's whole state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from src import runs, signals
from src.errors import UserError
from src.training.checkpoint import Checkpoint, State
from src.training.checkpoints import Checkpoints
from src.training.output import log
from src.training.plan import Plan
from src.training.tasks import Task

Logs = dict[str, Any]


class Interrupted(Exception):
    """The run was asked to end; its state has been saved."""


class Progress:
    """The best value of the watched metric so far, and how long ago it was reached.

    Args:
        task: knows which values are better.
        patience: epochs without improvement after which the run ends; None to run to the end.
        plateau: epochs without improvement after which, each time, the learning rate falls; None
            if it does not depend on the metric.
        decay: the factor by which it then falls.
    """

    def __init__(
        self, task: Task, patience: int | None, plateau: int | None = None, decay: float = 1.0
    ) -> None:
        self.task = task
        self.patience, self.plateau, self.decay = patience, plateau, decay
        self.best: float | None = None
        self.best_step: int | None = None
        self.waited = 0
        self.pruned = False

    def note(self, score: float, step: int, optimizer: keras.optimizers.Optimizer) -> None:
        """Takes note of the watched metric after an epoch."""
        self.waited += 1
        if self.task.better(score, self.best):
            # With NaN as score, the last epoch counts as the best.
            self.best = score if math.isfinite(score) else None
            self.best_step, self.waited = step, 0
        elif self.plateau and self.waited % self.plateau == 0:
            # The rate is one of the optimizer's variables and is saved with them.
            optimizer.learning_rate = optimizer.learning_rate * self.decay

    @property
    def done(self) -> bool:
        """Whether the patience is spent, or a search has given the run up."""
        return self.pruned or (self.patience is not None and self.waited >= self.patience)

    def state(self, step: int) -> State:
        """What a checkpoint of this step remembers."""
        return State(
            step=step,
            watched=self.task.watched,
            # NaN is never the best.
            best=None if self.best is None or math.isnan(self.best) else self.best,
            # Until an epoch has ended, the last checkpoint is the best.
            best_step=step if self.best_step is None else self.best_step,
            waited=self.waited,
        )

    def recall(self, state: State) -> None:
        """Goes back to what a checkpoint remembers."""
        self.best, self.waited = state.best, state.waited
        self.best_step = state.best_step if self.best is not None else None


class Saver(keras.callbacks.Callback):
    """Saves a checkpoint after each epoch, every few steps if asked, and when told to stop.

    Args:
        checkpoints: where to.
        plan: knows where an epoch ends.
        progress: knows which checkpoint is the best, and when there is no use in going on.
    """

    def __init__(self, checkpoints: Checkpoints, plan: Plan, progress: Progress) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.place = runs.Place(checkpoints.folder.parent)
        self.plan = plan
        self.progress = progress
        self.resumed: Checkpoint | None = None

    def resume(self, checkpoint: Checkpoint) -> None:
        """Takes the model, which is compiled, and the progress back to a checkpoint."""
        if not checkpoint.restore(self.model):
            log.warning("the optimizer is another than before and begins anew")
            self.model.optimizer.iterations.assign(checkpoint.step)
        checkpoint.assign("random", self._groups()["random"])
        self.resumed = checkpoint
        self.progress.recall(checkpoint.state)

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
        step, every = int(self.model.optimizer.iterations.numpy()), self.plan.checkpoint_every
        inside = step % self.plan.steps_per_epoch and step < self.plan.steps
        if inside and (self.model.stopping or (every and step % every == 0)):
            self._save(step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves, and takes note if the watched metric has improved.

        Raises:
            Interrupted: after a signal, once the state is on disk.
        """
        step = int(self.model.optimizer.iterations.numpy())
        score = float((logs or {})[f"val_{self.progress.task.watched}"])
        self.progress.note(score, step, self.model.optimizer)
        self._save(step)
        self.model.stop_training = self.progress.done

    def _groups(self) -> dict[str, list[keras.Variable]]:
        weights = {id(variable) for variable in self.model.weights}
        loss, task = self.model.metrics[0], self.progress.task
        return {
            "random": [v for v in self.model.variables if id(v) not in weights],
            # Not `metrics_variables`, which lacks the scores until the first batch.
            "metrics": [v for metric in (loss, *task.metrics) for v in metric.variables],
            "averages": self.model.averages.variables,
        }

    def _save(self, step: int) -> None:
        # The last loss may have been finite and the step that followed from it not.
        if not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
            raise UserError(f"expected finite weights; received others after step {step}")
        self._write(step)
        if self.model.stopping:
            raise Interrupted

    def _write(self, step: int) -> None:
        self.place.check()
        self.checkpoints.save(self.model, self._groups(), self.progress.state(step))

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Within the block the first signal stops after the step, a second one at once."""

        def stop() -> None:
            self.model.ask_to_stop()
            log.info("saving after this step; again to stop now")

        with signals.deferred(stop):
            yield


class Follower(Saver):
    """On another worker comes to the end that the chief's saver comes to; writes nothing."""

    def _write(self, step: int) -> None:
        pass
