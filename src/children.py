"""Commands in a process of their own, which ends when the one that started it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from src import cluster, files, runs, signals
from src.errors import UserError
from src.overrides import CONFIGS

# A `key=value` argument of a run, as records of several runs hold it.
Setting = Annotated[str, Field(pattern=r"^[a-z0-9_.]+=")]
Record = TypeVar("Record", bound=BaseModel)
# Names the descriptors, as `reading,writing`, by which a run is asked about after each epoch.
PIPES = "DECONV_PRUNER"
# A process whose parent was killed saves after its step; nothing is lost if it takes longer.
_PATIENCE = 60.0


def read_record(path: Path, form: type[Record], what: str) -> Record:
    """Reads what several runs' folder says of them.

    Raises:
        UserError: it cannot be read, or is of another form.
    """
    try:
        return form.model_validate_json(files.read(path))
    except (OSError, ValidationError) as error:
        line = str(error).partition("\n")[0]
        raise UserError(f"{path}: expected {what}; received {files.clipped(line)}") from error


def overrides(settings: Sequence[str], folder: Path | None) -> list[str]:
    """The arguments that begin a run in a folder, or go on with the one that has begun there.

    Args:
        settings: the `key=value` arguments to begin with, without `run_dir=`.
        folder: the run's; None where the settings say all.
    """
    if folder is None:
        return list(settings)
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    _wait_until_free(folder)
    if os.path.lexists(folder / runs.CONFIG):
        return [f"resume='{quoted}'"]
    return [*settings, f"run_dir='{quoted}'"]


def _wait_until_free(folder: Path) -> None:
    """Waits for the process of a parent that was killed, which still saves."""
    deadline = time.monotonic() + _PATIENCE
    while os.path.lexists(folder / ".lock"):
        try:
            with runs.locked(folder):
                return
        except UserError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)


def run(
    config_name: str,
    settings: Sequence[str],
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """Runs a command to its end; hands it the signals that ask this process to end.

    Args:
        config_name: the command.
        settings: its arguments.
        environment: what its environment has besides.
        pass_fds: file descriptors that it inherits.
        meanwhile: called once it runs, before its end is waited for.

    Returns:
        Its status; 128 and the signal's number where one has killed it.
    """
    path = os.pathsep.join(filter(None, (str(CONFIGS.parent), os.environ.get("PYTHONPATH"))))
    reading, writing = os.pipe()
    variables = {"PYTHONPATH": path, signals.PARENT: str(reading), **(environment or {})}
    # Each run by itself, also where this process is one of several.
    variables |= cluster.ALONE
    # In a group of its own: what a terminal sends to all would reach it twice.
    job = subprocess.Popen(
        [sys.executable, "-m", f"src.{config_name}", *settings],
        env={**os.environ, **variables},
        process_group=0,
        pass_fds=(reading, *pass_fds),
    )
    os.close(reading)

    def hand_on(count: int, number: int) -> None:
        job.send_signal(signal.Signals(number))

    with signals.answered(hand_on):
        try:
            meanwhile()
            ended = job.wait()
        finally:
            if job.poll() is None:
                job.terminate()
            os.close(writing)
    return ended if ended >= 0 else 128 - ended
