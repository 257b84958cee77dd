"""Times an epoch with and without all that is written beside it.

    python -m benchmarks.logging_cost [rounds] [model ...] [key=value ...]

With: the line and the curves of the epoch, histograms of the weights, pictures, the checkpoint.
Without them: training and validation alone. Both in one process, taking turns, with the threads
that the model is trained with, a process for each model; one epoch warms up and three count. Prints
for each model the seconds of an epoch without, what it takes more with, and of that what each part
took between the steps and at the epoch's end. Further settings, such as trainer.explain_every=550,
hold for both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from benchmarks import contest
from src import config, evolution, experiment, files, machine, runs
from src.data import sources
from src.data.dataset import DataSet
from src.experiment import training

EPOCHS = 4


class _Clock(keras.callbacks.Callback):
    """The moments at which epochs begin, and at which the training ends."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.moments.append(time.perf_counter())

    def on_train_end(self, logs: object = None) -> None:
        self.moments.append(time.perf_counter())

    @property
    def seconds(self) -> list[float]:
        """Seconds of each epoch but the first."""
        return [b - a for a, b in zip(self.moments[1:], self.moments[2:], strict=False)]


class _Timed(keras.callbacks.Callback):
    """Another callback, and what it takes in each epoch."""

    def __init__(self, inner: keras.callbacks.Callback) -> None:
        super().__init__()
        self.inner, self.seconds, self.between = inner, [0.0], 0.0
        for event in ("on_epoch_begin", "on_train_begin", "on_train_end"):
            setattr(self, event, getattr(inner, event))
        for event in ("on_test_begin", "on_test_end"):
            setattr(self, event, getattr(inner, event))

    def set_model(self, model: keras.Model) -> None:
        self.inner.set_model(model)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        begun = time.perf_counter()
        self.inner.on_train_batch_end(batch, logs)
        self.between += time.perf_counter() - begun

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        begun = time.perf_counter()
        self.inner.on_epoch_end(epoch, logs)
        self.seconds.append(self.between + time.perf_counter() - begun)
        self.between = 0.0


@dataclass
class Observed:
    """The seconds of epochs, and of each part of what was written after them."""

    clock: _Clock = field(default_factory=_Clock)
    parts: dict[str, list[float]] = field(default_factory=dict)


def observe(settings: config.Train, folder: Path, data: DataSet, writes: bool) -> Observed:
    """Trains a few epochs of a model, with or without what a run writes."""
    observed = Observed()
    # A run whose folder has lost its configuration ends.
    files.write(folder / runs.CONFIG, config.dump(settings))

    def choose(*of_run: Any) -> list[keras.callbacks.Callback]:
        timed = [_Timed(each) for each in evolution.callbacks(*of_run)] if writes else []
        observed.parts = {type(each.inner).__name__: each.seconds for each in timed}
        return [observed.clock, *timed]

    training.train(experiment.Experiment(settings, folder, data), None, choose)
    return observed


def main(rounds: int, model: str, more_settings: list[str]) -> None:
    """Lets epochs of a model with and without logging take turns."""
    settings = contest.composed(
        f"model={model}", "data.fallback=false", f"trainer.epochs={EPOCHS}", *more_settings
    )
    machine.share_threads(settings)
    data = sources.load(settings.data)
    settings = experiment.resolved(settings, data)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    parts: dict[str, list[float]] = {}
    for _ in range(rounds):
        for writes in seconds:
            with tempfile.TemporaryDirectory() as folder:
                observed = observe(settings, Path(folder), data, writes)
            seconds[writes] += observed.clock.seconds
            for name, taken in observed.parts.items():
                parts.setdefault(name, []).extend(taken[2:])
    without = statistics.median(seconds[False])
    more = statistics.median(b - a for a, b in zip(seconds[False], seconds[True], strict=True))
    detail = ", ".join(f"{n} {statistics.median(t):.3f} s" for n, t in parts.items())
    print(f"{model}: {without:.2f} s an epoch, {more:+.2f} s ({more / without:+.1%}): {detail}")


if __name__ == "__main__":
    rounds_asked, *asked = sys.argv[1:] or ["3"]
    chosen = [word for word in asked if "=" in word]
    models = [word for word in asked if "=" not in word]
    if len(models) == 1:
        main(int(rounds_asked), models[0], chosen)
    else:
        for each in models or ["lenet5", "lenet_mnist", "autoencoder"]:
            command = [sys.executable, "-m", "benchmarks.logging_cost", rounds_asked, each, *chosen]
            subprocess.run(command, check=True)
