"""A run's epochs, `metrics.jsonl`: a line of numbers each; they are read here only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from src import files
from src.config.model import Mode
from src.errors import UserError

# Numbers, of which `epoch` and `step` are always there.
Row = dict[str, Any]


class _Line(BaseModel):
    """A line of the file: an epoch, and its numbers by their names."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, float | None]

    epoch: Annotated[int, Field(ge=1, lt=10**12)]
    step: Annotated[int, Field(ge=1, lt=10**12)]


def read(path: Path, most: int = files.TEXT) -> tuple[list[Row], list[int]]:
    """Reads the rows of a `metrics.jsonl`.

    Args:
        path: the file; it may be missing, end inside a line, or be a stranger's.
        most: bytes that it may have.

    Returns:
        The rows, and the numbers of the lines that hold none. The last line is not counted among
        them: it is a part where the run was killed as it wrote.

    Raises:
        UserError: it cannot be read.
    """
    try:
        lines = files.read(path, most).split(b"\n")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise UserError(f"{path}: expected a run's epochs; received {error.strerror}") from error
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
        return _Line.model_validate_json(line).model_dump()
    except ValidationError:
        return None
