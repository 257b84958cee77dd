"""Where a run writes: its log, its pictures and its graph."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from src import figures
from src.training.tasks import Pictures

log = logging.getLogger("deconv")
Drawing = Callable[[str, Pictures, int], None]


@contextmanager
def writing_events() -> Iterator[None]:
    """Within the block TensorFlow's errors, a full disk in its own words, become OSError."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = re.sub(r"\{\{.*?\}\}", "", error.message).strip().splitlines()[0]
        raise OSError(reason) from error


def drawing(folder: Path) -> Drawing:
    """Returns what writes pictures to the run's `figures/` and to TensorBoard."""

    # Only once there is something to draw: a run that goes on rewrites the event files first.
    @functools.cache
    def writer() -> tf.summary.SummaryWriter:
        return tf.summary.create_file_writer(str(folder / "tensorboard" / "pictures"))

    def draw(when: str, pictures: Pictures, step: int) -> None:
        with writing_events(), writer().as_default(step):
            for name, picture in pictures.items():
                figures.save_png(folder / "figures" / f"{name}-{when}.png", picture)
                tag = name if when.startswith("epoch") else f"{name}/{when}"
                tf.summary.image(tag, np.asarray(picture)[None])
            writer().flush()

    return draw


def write_graph(folder: Path, model: keras.Model) -> None:
    """Writes the model's graph for TensorBoard."""
    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    graph = tf.function(model).get_concrete_function(signature).graph
    writer = tf.summary.create_file_writer(str(folder / "tensorboard" / "train"))
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
    to_file = _LogFile(path, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(to_file)
    log.addHandler(logging.StreamHandler(sys.stdout))
