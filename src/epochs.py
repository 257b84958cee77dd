"""A run's epochs, `metrics.jsonl`: a line of numbers each; they are read here only."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from src import files
from src.config.model import Mode

Row = dict[str, float | None]


def read(path: Path, most: int = files.TEXT) -> tuple[list[Row], list[int]]:
    """Reads the rows of a `metrics.jsonl`.

    Args:
        path: the file; it may be missing, end inside a line, or be a stranger's.
        most: bytes that it may have.

    Returns:
        The rows, and the numbers of the lines that hold none. The last line is not counted among
        them: it is a part where the run was killed as it wrote.

    Raises:
        OSError: it cannot be read.
    """
    try:
        lines = files.read(path, most).split(b"\n")
    except FileNotFoundError:
        return [], []
    rows, damaged = [], []
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is not None:
            rows.append(row)
        elif line and number < len(lines):
            damaged.append(number)
    return rows, damaged


def best(rows: Iterable[Row], watched: str, mode: Mode) -> Row | None:
    """The first row with the best score of a metric on the validation set; None if none has any.

    Args:
        rows: of a run.
        watched: the metric's name.
        mode: whether more or less of it is better.
    """
    sign = 1 if mode == "max" else -1
    scored = [(row.get(f"val_{watched}"), row) for row in rows]
    known = [(sign * score, row) for score, row in scored if score is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def _row(line: bytes) -> Row | None:
    """An epoch's numbers by name, or None if the line holds no such thing."""
    try:
        row: Any = json.loads(line, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        return None
    return row if all(map(_is_number, row.values())) else None


def _is_number(value: Any) -> bool:
    try:
        return value is None or (type(value) in (int, float) and math.isfinite(value))
    except OverflowError:  # An integer of hundreds of digits.
        return False
