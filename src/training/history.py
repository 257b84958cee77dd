"""Takes what a run has written down back to a checkpoint, so that it goes on without a seam.

A run may have written more than its last checkpoint knows of: the steps in between will be trained
again and written again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from src import runs


def rewind_metrics(path: Path, step: int) -> list[dict[str, Any]]:
    """Cuts `metrics.jsonl` off after a step; returns the rows that stay.

    Args:
        path: the file; it may be missing, or end inside a line.
        step: the last step whose row stays.
    """
    rows: list[dict[str, Any]] = []
    if not path.exists():
        return rows
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if row["step"] <= step:
            rows.append(row)
    runs.write(path, "".join(json.dumps(row) + "\n" for row in rows))
    return rows


def rewind_events(folder: Path, step: int) -> None:
    """Makes one file of TensorBoard's events up to a step of the event files below a folder.

    Args:
        folder: the run's `tensorboard/`; each folder in it becomes one file.
        step: the last step whose events stay.
    """
    for part in sorted(path for path in folder.glob("*") if path.is_dir()):
        old = sorted(part.glob("events.out.tfevents.*"))
        # A rewind that was itself cut short has left the same records in two files.
        records = dict.fromkeys(record for path in old for record in _whole_records(path))
        kept = [record for record in records if Event.FromString(record).step <= step]
        # TensorBoard reads files in the order of their names, which begin with the time.
        name = f"events.out.tfevents.{int(time.time()) - 1}.rewound"
        aside = part / f".{name}"
        with tf.io.TFRecordWriter(str(aside)) as writer:
            for record in kept:
                writer.write(record)
        aside.rename(part / name)
        for path in old:
            if path.name != name:
                path.unlink()


def _whole_records(path: Path) -> list[bytes]:
    records = []
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            records.append(record.numpy())
    except tf.errors.DataLossError:
        # Killed while it was writing: the last record is a part.
        pass
    return records
