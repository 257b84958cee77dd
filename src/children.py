"""Commands in a process of their own, which ends when the one that started it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from src import cluster, files, runs, signals
from src.errors import UserError
from src.overrides import CONFIGS

# A `key=value` argument of a run, as records of several runs hold it.
Setting = Annotated[str, Field(pattern=r"^[a-z0-9_.]+=")]
Record = TypeVar("Record", bound=BaseModel)
# Names the descriptors, as `reading,writing`, by which a run is asked about after each epoch.
PIPES = "DECONV_PRUNER"
# Seconds. A process whose parent was killed saves after its step; if it takes longer, nothing is
# lost, and one can ask again.
_PATIENCE = 60.0
_WARNINGS = {signal.SIGUSR1, signal.SIGUSR2}


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


@contextmanager
def alone(folder: Path | None) -> Iterator[tuple[int, ...]]:
    """Within the block no other process has a run; nor after it, while a child has its descriptors.

    A child whose parent was killed still saves, or has not yet made its folder: whoever goes on
    with the run in the parent's place waits for it.

    Args:
        folder: the run's; None for a command that has none.

    Yields:
        File descriptors for the child to inherit.

    Raises:
        UserError: another process has had it for a minute, or its lock cannot be written.
    """
    if folder is None:
        yield ()
        return
    with runs.exclusive(folder.with_name(f".{folder.name}.child"), _PATIENCE) as file:
        # Somebody may have gone on with it by hand.
        if os.path.lexists(folder / ".lock"):
            with runs.locked(folder, _PATIENCE):
                pass
        yield (file.fileno(),)


def overrides(settings: Sequence[str], folder: Path | None) -> list[str]:
    """The arguments that begin a run in a folder, or go on with the one that has begun there.

    Args:
        settings: the `key=value` arguments to begin with, without `run_dir=`.
        folder: the run's; None where the settings say all.
    """
    if folder is None:
        return list(settings)
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    if os.path.lexists(folder / runs.CONFIG):
        return [f"resume='{quoted}'"]
    return [*settings, f"run_dir='{quoted}'"]


def python_path() -> str:
    """Where Python finds this program's modules, and whatever else it did before."""
    return os.pathsep.join(filter(None, (str(CONFIGS.parent), os.environ.get("PYTHONPATH"))))


class Child:
    """A command in a process of its own; leaving the block ends it.

    Args:
        config_name: the command.
        settings: its arguments.
        environment: what its environment has besides.
        pass_fds: file descriptors that it inherits.
        processors: numbers of those that it may use; None for all.
        piped: whether what it prints is read by `lines`.
    """

    def __init__(
        self,
        config_name: str,
        settings: Sequence[str],
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        processors: Sequence[int] | None = None,
        piped: bool = False,
    ) -> None:
        reading, self._writing = os.pipe()
        variables = {"PYTHONPATH": python_path(), signals.PARENT: str(reading)}
        # Each run by itself, also where this process is one of several workers.
        variables |= cluster.ALONE
        streams: dict[str, Any] = {}
        if piped:
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        # Slurm warns all processes of a job by these; what it means is for this one to say.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WARNINGS)
        try:
            # In a group of its own: a terminal asks this process, and this one asks it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"src.{config_name}", *settings],
                env={**os.environ, **variables, **(environment or {})},
                process_group=0,
                pass_fds=(reading, *pass_fds),
                **streams,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reading)
        if processors is not None:
            # Long before it has any thread.
            with suppress(OSError):
                os.sched_setaffinity(self._process.pid, processors)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *raised: object) -> None:
        # Its end asks the child to end, if it has not yet.
        writing, self._writing = self._writing, -1
        os.close(writing)

    def lines(self) -> Iterator[str]:
        """What it prints, line by line."""
        yield from self._process.stdout or ()

    def ask(self, count: int = 1) -> None:
        """Asks it to end: in order at the first time, whoever has asked before, else at once.

        Args:
            count: how many times this process was asked.
        """
        with suppress(OSError):
            os.write(self._writing, bytes([min(count, 2)]))

    def wait(self) -> int:
        """Its status; 128 and the signal's number where one has killed it."""
        ended = self._process.wait()
        return ended if ended >= 0 else 128 - ended

    def finish(self) -> None:
        """Asks it to end in order, and waits for that as long as a step and its saving may take.

        May be called by a signal's handler, which interrupts `wait`: that is left to see the end.
        """
        deadline = time.monotonic() + _PATIENCE
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        self.ask()
        with suppress(ChildProcessError):
            while time.monotonic() < deadline:
                if os.waitid(os.P_PID, self._process.pid, how):
                    return
                time.sleep(0.1)


# Those that `run` runs.
_running: list[Child] = []


def finish() -> None:
    """Has what `run` runs end in order, as `Child.finish` says."""
    for child in list(_running):
        child.finish()


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
    with (
        Child(config_name, settings, environment, pass_fds) as child,
        signals.answered(lambda count, number: child.ask(count)),
    ):
        _running.append(child)
        try:
            meanwhile()
            return child.wait()
        finally:
            _running.remove(child)
