"""The curves of a run as a picture, for those who do not start TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from src import epochs, figures
from src.config.model import Mode
from src.figures.colours import MUTED, RIGHT
from src.figures.curves import Line, Panel


class CurvesLogger(keras.callbacks.Callback):
    """Draws `figures/curves.png` after each epoch.

    It draws what `metrics.jsonl` holds, which a resumed run takes over from before, so that the
    picture is that of a run that was left alone.

    Args:
        folder: the run's.
        rows: its epochs, the one that has just ended included: the metrics logger comes before.
        watched: the metric that decides which epoch is the best.
        mode: whether more or less of it is better.
    """

    def __init__(self, folder: Path, rows: list[epochs.Row], watched: str, mode: Mode) -> None:
        super().__init__()
        self.path = folder / "figures" / "curves.png"
        self.rows = rows
        self.watched, self.mode = watched, mode

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws.

        Raises:
            OSError: the picture cannot be written.
        """
        figures.save_png(self.path, drawn(self.rows, self.watched, self.mode))


def drawn(rows: list[epochs.Row], watched: str, mode: Mode) -> figures.Picture:
    """The loss and the watched metric over the epochs, training against validation.

    Args:
        rows: of a run, one or more.
        watched: the metric's name; where the loss is the same by another name, it has no panel of
            its own.
        mode: whether more or less of it is better.
    """
    best = epochs.best(rows, watched, mode)
    note, marked = "", None
    if best is not None:
        x, y = float(best["epoch"] or 0), float(best[f"val_{watched}"] or 0)
        note, marked = f"best {y:.4g}, epoch {x:g}", (x, y)
    panels = [Panel(watched, _lines(rows, watched), note, marked)]
    if not np.allclose(_column(rows, "loss"), _column(rows, watched), equal_nan=True):
        panels.insert(0, Panel("loss", _lines(rows, "loss")))
    return figures.curves(panels)


def _lines(rows: list[epochs.Row], name: str) -> list[Line]:
    x = _column(rows, "epoch")
    return [
        Line("train", x, _column(rows, name), MUTED, dashed=True),
        Line("val", x, _column(rows, f"val_{name}"), RIGHT),
    ]


def _column(rows: list[epochs.Row], name: str) -> NDArray[np.float64]:
    return np.array([row.get(name) for row in rows], np.float64)
