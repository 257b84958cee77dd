"""Where a run writes: its log, its pictures and its graph."""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    """Opens a file of TensorBoard's events in a run's `tensorboard/`.

    Raises:
        OSError: it cannot be made, or the run's folder is gone.
    """
    # Without further parents: a run whose folder was removed does not come back as a part.
    folder.parent.mkdir(exist_ok=True)
    with writing_events():
        return tf.summary.create_file_writer(os.fsencode(folder), filename_suffix=suffix)


def _graph(model: keras.Model) -> tf.compat.v1.GraphDef:
    """The operations of a model, under the names of its layers.

    Keras opens the scope of a layer twice, first for what it does to the inputs, so that TensorFlow
    calls the second one `conv1_1`.
    """
    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    traced = tf.function(model, autograph=False)
    graph = traced.get_concrete_function(signature).graph.as_graph_def()
    scopes = {model.name, *(layer.name for layer in model.layers)}
    again = {f"{name}_1": name for name in scopes if f"{name}_1" not in scopes}

    def renamed(name: str) -> str:
        return "/".join(again.get(part, part) for part in name.split("/"))

    if len({renamed(node.name) for node in graph.node}) == len(graph.node):
        for node in graph.node:
            node.name = renamed(node.name)
            # With a ^ in front it is only waited for.
            node.input[:] = [
                f"^{renamed(name[1:])}" if name.startswith("^") else renamed(name)
                for name in node.input
            ]
    return graph


class Events:
    """What a run writes to TensorBoard and, of it, the pictures to `figures/`.

    All of it lies in one folder, and what is written while the run trains in one file: TensorBoard
    makes an entry of each folder, and follows one file of it.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.figures = folder / "figures"
        self.folder = folder / "tensorboard"

    @functools.cached_property
    def writer(self) -> tf.summary.SummaryWriter:
        """What writes while the run trains."""
        # Only once there is something to write: a run that goes on rewrites the event files first.
        return events_writer(self.folder)

    def write_start(
        self, model: keras.Model, texts: Mapping[str, str], summaries: Sequence[Any]
    ) -> None:
        """Writes what is known before the first step: the model's graph, texts and summaries.

        Raises:
            OSError: they cannot be written.
        """
        with writing_events(), self.writer.as_default(0):
            tf.summary.graph(_graph(model))
            for name, text in texts.items():
                tf.summary.text(f"run/{name}", text)
            _write_all(summaries, 0)
            self.writer.flush()

    def write_epoch(self, epoch: int, pictures: Figures, step: int) -> None:
        """Writes the pictures of an epoch, counted from 1.

        Raises:
            OSError: they cannot be written.
        """
        self._write(self.writer, f"epoch-{epoch:04d}", "epochs", pictures, step)

    def write_evaluation(
        self,
        label: str,
        pictures: Figures,
        scores: Mapping[str, float | None],
        summaries: Sequence[Any],
        step: int,
    ) -> None:
        """Writes what an evaluation has found, in the place of an earlier one's.

        Raises:
            OSError: it cannot be written.
        """
        suffix = f"{EVALUATION}{label}"
        for earlier in self.folder.glob(f"*{suffix}"):
            earlier.unlink()
        writer = events_writer(self.folder, suffix)
        self._write(writer, label, label, pictures, step)
        with writing_events(), writer.as_default(step):
            for name, score in scores.items():
                if score is not None:
                    tf.summary.scalar(f"{name}/{label}", score)
            _write_all(summaries, step)
            writer.close()

    def _write(
        self,
        writer: tf.summary.SummaryWriter,
        when: str,
        tag: str,
        pictures: Figures,
        step: int,
    ) -> None:
        self.figures.mkdir(exist_ok=True)
        with writing_events(), writer.as_default(step):
            for name, picture in pictures.items():
                figures.save_png(self.figures / f"{name}-{when}.png", picture)
                tf.summary.image(f"{name}/{tag}", np.asarray(picture)[None])
            writer.flush()


def _write_all(summaries: Sequence[Any], step: int) -> None:
    for summary in summaries:
        tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step)


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Lets a full disk be one error like any other, rather than a printed traceback."""
        raise


def log_to(path: Path | None) -> None:
    """Sends the run's log to the terminal and, unless it is None, to a file."""
    log.handlers.clear()
    # Hydra disables every logger there is before each job of a multirun.
    log.disabled = False
    log.setLevel(logging.INFO)
    log.propagate = False
    if path is not None:
        files.unshare(path)
        # Opened here and not by its name later: it is a file of the run's own, and no link.
        files.open_to_append(path).close()
        to_file = _LogFile(path, encoding="utf-8", errors="backslashreplace")
        to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(to_file)
    log.addHandler(logging.StreamHandler(sys.stdout))
