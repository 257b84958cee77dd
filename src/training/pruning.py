"""Asks whoever searches, after each epoch, whether a run is worth going on with.

The process that searches holds two pipes: an epoch's number and score go out by one, by the other
comes one byte, `0` to end the run. So the run waits for the answer, and knows nothing of the study.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from typing import Any

import keras

from src import children
from src.training.saver import Progress


class Pruning(keras.callbacks.Callback):
    """Ends a run in order when whoever searches says so; alone, a run is never asked about.

    Whoever searches may be killed at any time, and the run with it or a little later: an epoch to
    which there was no answer counts, and whoever goes on finds it in `metrics.jsonl`.

    Args:
        progress: of the run.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress
        self.pipes = [int(part) for part in os.environ.get(children.PIPES, "").split(",") if part]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reports the watched metric and waits for the answer."""
        score = float((logs or {})[f"val_{self.progress.task.watched}"])
        if self.pipes and math.isfinite(score):
            reading, writing = self.pipes
            with suppress(BrokenPipeError):
                os.write(writing, f"{epoch + 1} {score!r}\n".encode())
            self.progress.pruned = os.read(reading, 1) == b"0"
