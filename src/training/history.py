"""Takes what a run has written down back to a checkpoint, so that it goes on without a seam.

A run may have written more than its last checkpoint knows of: the steps in between will be trained
again and written again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from src import epochs, files, runs
from src.training.output import EVALUATION, log

# TensorBoard reads whatever has this in its name.
_EVENTS = "tfevents"
_ASIDE = ".rewinding"
# What is written aside, to be renamed when it is whole.
_UNFINISHED = (
    *(".*.writing", "figures/.*.tmp"),
    *("tensorboard/.*.writing", "tensorboard/projector/*/.*.writing"),
    "tensorboard/projector/*/.*.tmp",
)


def rewind(folder: Path, step: int) -> list[dict[str, Any]]:
    """Takes a run's folder back to a step, and removes what was begun and never finished.

    Args:
        folder: the run's, which no other process may be writing to.
        step: the last step of which anything stays; 0 for a run that begins again.

    Returns:
        The epochs that stay.
    """
    for pattern in _UNFINISHED:
        for path in folder.glob(pattern):
            path.unlink()
    rewind_events(folder / "tensorboard", step)
    return rewind_metrics(folder / runs.METRICS, step)


def rewind_metrics(path: Path, step: int) -> list[dict[str, Any]]:
    """Cuts `metrics.jsonl` off after a step; returns the rows that stay.

    A damaged line is left out, with a warning.

    Args:
        path: the file; it may be missing, or end inside a line.
        step: the last step whose row stays.
    """
    rows, damaged = epochs.read(path, 1 << 28)
    if not path.exists():
        return []
    for number in damaged:
        log.warning("%s: line %d is damaged and left out", path, number)
    kept = [row for row in rows if row["step"] <= step]
    files.write(path, "".join(json.dumps(row) + "\n" for row in kept))
    return kept


def rewind_events(folder: Path, step: int) -> None:
    """Makes one file of TensorBoard's events up to a step of the event files below a folder.

    Args:
        folder: the run's `tensorboard/`; what an earlier version has put into folders of its own
            becomes one file each.
        step: the last step whose events stay; 0 for none at all.
    """
    for part in (folder, *sorted(path for path in folder.glob("*") if path.is_dir())):
        for leftover in (*part.glob(f"{_ASIDE}*"), *part.glob(f".*{_EVENTS}*")):
            leftover.unlink()
        old = sorted(path for path in part.glob(f"*{_EVENTS}*") if EVALUATION not in path.name)
        _rewind_evaluations(part, step)
        if not old:
            continue
        # A rewind that was itself cut short has left the same records in two files.
        records = dict.fromkeys(record for path in old for record in _whole_records(path))
        # The graph is of step 0: a run that begins again writes it again.
        kept = [r for r in records if step and Event.FromString(r).step <= step]
        # TensorBoard reads files in the order of their names, which begin with the time.
        name = f"events.out.{_EVENTS}.{int(time.time()) - 1}.rewound"
        # It does not read this one: a kill in here must not show it everything twice.
        aside = part / _ASIDE
        with tf.io.TFRecordWriter(os.fsencode(aside)) as writer:
            for record in kept:
                writer.write(record)
        files.flush(aside)
        aside.rename(part / name)
        for path in old:
            if path.name != name:
                path.unlink()
        if not kept:
            (part / name).unlink()


def _rewind_evaluations(part: Path, step: int) -> None:
    """Removes the evaluations of later steps; each is a file of its own."""
    for path in part.glob(f"*{EVALUATION}*"):
        if any(Event.FromString(record).step > step for record in _whole_records(path)):
            path.unlink()


def _whole_records(path: Path) -> Iterator[bytes]:
    try:
        for record in tf.data.TFRecordDataset(os.fsencode(path)):
            yield record.numpy()
    except tf.errors.OpError:
        # Killed while it was writing: the last record is a part.
        return
