"""Where a run writes: its log, its pictures and its graph."""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from src import figures, files
from src.training.tasks import Figures

log = logging.getLogger("deconv")

# In the name of a file of events that holds the pictures of one evaluation, before what it is of.
EVALUATION = ".evaluation."


@contextmanager
def writing_events() -> Iterator[None]:
    """Within the block TensorFlow's errors, a full disk in its own words, become OSError."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = re.sub(r"\{\{.*?\}\}", "", error.message).strip().splitlines()[0]
        raise OSError(reason) from error


def events_writer(folder: Path, suffix: str = ".v2") -> tf.summary.SummaryWriter:
    """Opens a file of TensorBoard's events in a part of a run's `tensorboard/`.

    Raises:
        OSError: it cannot be made, or the run's folder is gone.
    """
    # Without further parents: a run whose folder was removed does not come back as a part.
    folder.parent.mkdir(exist_ok=True)
    with writing_events():
        return tf.summary.create_file_writer(os.fsencode(folder), filename_suffix=suffix)


class PictureWriter:
    """Writes pictures to a run's `figures/` and to TensorBoard.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.figures = folder / "figures"
        self.events = folder / "tensorboard" / "pictures"

    @functools.cached_property
    def _epochs(self) -> tf.summary.SummaryWriter:
        # Only once there is something to draw: a run that goes on rewrites the event files first.
        return events_writer(self.events)

    def write_epoch(self, epoch: int, pictures: Figures, step: int) -> None:
        """Writes the pictures of an epoch, counted from 1.

        Raises:
            OSError: they cannot be written.
        """
        self._write(
            self._epochs, f"epoch-{epoch:04d}", {name: name for name in pictures}, pictures, step
        )

    def write_evaluation(self, label: str, pictures: Figures, step: int) -> None:
        """Writes the pictures of an evaluation, in the place of an earlier one's.

        Raises:
            OSError: they cannot be written.
        """
        suffix = f"{EVALUATION}{label}"
        for earlier in self.events.glob(f"*{suffix}"):
            earlier.unlink()
        writer = events_writer(self.events, suffix)
        tags = {name: f"{name}/{label}" for name in pictures}
        self._write(writer, label, tags, pictures, step)
        with writing_events():
            writer.close()

    def _write(
        self,
        writer: tf.summary.SummaryWriter,
        when: str,
        tags: dict[str, str],
        pictures: Figures,
        step: int,
    ) -> None:
        self.figures.mkdir(exist_ok=True)
        with writing_events(), writer.as_default(step):
            for name, picture in pictures.items():
                figures.save_png(self.figures / f"{name}-{when}.png", picture)
                tf.summary.image(tags[name], np.asarray(picture)[None])
            writer.flush()


def write_graph(folder: Path, model: keras.Model) -> None:
    """Writes the model's graph for TensorBoard."""
    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    graph = tf.function(model).get_concrete_function(signature).graph
    writer = events_writer(folder / "tensorboard" / "train")
    with writing_events(), writer.as_default(0):
        tf.summary.graph(graph)
        writer.flush()


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Lets a full disk be one error like any other, rather than a printed traceback."""
        raise


def log_to(path: Path) -> None:
    """Sends the run's log to the terminal and to a file."""
    log.handlers.clear()
    # Hydra disables every logger there is before each job of a multirun.
    log.disabled = False
    log.setLevel(logging.INFO)
    log.propagate = False
    files.unshare(path)
    # Opened here and not by its name later: it is a file of the run's own, and no link.
    files.open_to_append(path).close()
    to_file = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(to_file)
    log.addHandler(logging.StreamHandler(sys.stdout))
