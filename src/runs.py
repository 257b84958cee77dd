"""A run's folder: how it is named, made and found, and how its small files are written."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from src.errors import UserError

OUTPUTS = Path("outputs")
CONFIG = "config.yaml"
RESULTS = "results.json"
METRICS = "metrics.jsonl"


def create(model: str, run_dir: str | None) -> Path:
    """Makes the folder of a new run.

    Args:
        model: name of the model.
        run_dir: the folder that the user asked for; if None, `outputs/<model>/<time>`.

    Raises:
        UserError: the folder cannot be made, or there is something in it already.
    """
    check_free(run_dir)
    try:
        if run_dir is None:
            return _create_dated(OUTPUTS / model)
        folder = Path(run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except OSError as error:
        where = run_dir or OUTPUTS / model
        raise UserError(
            f"expected a folder that can be written to; received {where} ({error.strerror})"
        ) from error


def check_free(run_dir: str | None) -> None:
    """Refuses a folder that holds something already, or that cannot be made.

    Raises:
        UserError: there is something in it, it is a file, or nothing may be written there.
    """
    folder = Path(run_dir) if run_dir else OUTPUTS
    if run_dir and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"expected a new or empty folder; received run_dir={run_dir}")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"expected a folder that can be written to; received {folder} in {there}")


def _create_dated(parent: Path) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        try:
            (parent / f"{stamp}{suffix}").mkdir(parents=True)
        except FileExistsError:
            continue
        return parent / f"{stamp}{suffix}"
    raise UserError(f"expected fewer than 1000 runs a second in {parent}; received one more")


def find(run: str) -> Path:
    """Finds a run's folder.

    Args:
        run: the folder, or `latest`: the one last begun below `outputs/`.

    Raises:
        UserError: there is no such run.
    """
    if run == "latest":
        configs = list(OUTPUTS.glob(f"**/{CONFIG}"))
        if not configs:
            raise UserError(f"expected a run below {OUTPUTS.resolve()}; received run=latest")
        return max(configs, key=lambda path: path.stat().st_mtime_ns).parent
    folder = Path(run)
    if not (folder / CONFIG).is_file():
        raise UserError(f"expected a run's folder, with its {CONFIG}; received run={run}")
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within the block no other process trains in the folder; the lock dies with its process.

    Raises:
        UserError: another process is training there, or the folder cannot be written to.
    """
    try:
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"expected a folder that can be written to; received {folder} ({error.strerror})"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"expected a folder in which no other process trains; received {folder}"
            ) from error
        yield


def write(path: Path, text: str) -> None:
    """Writes a small file in one piece: a reader sees the old text or the new, never a part."""
    aside = path.with_name(f".{path.name}.writing")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read_results(folder: Path) -> dict[str, Any]:
    """The run's results so far; empty where none have been written.

    Raises:
        UserError: the file is not JSON.
    """
    path = folder / RESULTS
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: expected JSON; received {error}") from error


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Writes the run's results."""
    write(folder / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
