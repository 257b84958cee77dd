"""How the jobs of a multirun are run: Hydra's launchers by their names and options.

Each job is a process of its own whatever runs it. What began a job is written down with it, so that
a job that a cluster has put off, or whose time is over, goes on where it was.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from src import children, files, signals
from src.errors import UserError

LauncherName = Literal["basic", "joblib", "submitit_local", "submitit_slurm"]
_Text = Annotated[str, Field(pattern=r"^[\w.:,&|*@+-]+$", max_length=200)]
_Whole = Annotated[int, Field(ge=1, le=100_000)]
_SLURM = ("partition", "account", "qos", "constraint")
_BOTH = ("timeout_min", "cpus_per_task", "mem_gb", "gpus_per_node")
# Seconds between two looks at jobs that others run, and after which those that end are given up.
_PAUSE, _PATIENCE = 0.5, 60.0


class Launcher(BaseModel):
    """A launcher and its options, under the names that they have in Hydra.

    Attributes:
        name: `basic` runs one job after another, `joblib` several at once on this machine,
            `submitit_local` all at once in processes of submitit's, `submitit_slurm` as Slurm has
            room for them.
        n_jobs: of `joblib`: how many at once; -1 for one for each processor. The processors are
            shared out among them.
        timeout_min: of submitit: minutes after which a job is stopped, to be gone on with.
        max_num_timeout: of submitit: how often it is gone on with.
        cpus_per_task: of submitit: processors of a job.
        mem_gb: of submitit: gigabytes of memory of a job.
        gpus_per_node: of submitit: GPUs of a job.
        partition: of Slurm.
        account: of Slurm.
        qos: of Slurm.
        constraint: of Slurm.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: LauncherName = "basic"
    n_jobs: Annotated[int, Field(ge=-1, le=1000)] = -1
    timeout_min: _Whole = 24 * 60
    max_num_timeout: _Whole = 10
    cpus_per_task: _Whole | None = None
    mem_gb: _Whole | None = None
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] | None = None
    partition: _Text | None = None
    account: _Text | None = None
    qos: _Text | None = None
    constraint: _Text | None = None

    @field_validator("n_jobs")
    @classmethod
    def _some_at_once(cls, n_jobs: int) -> int:
        if n_jobs == 0:
            raise ValueError("expected 1 or more, or -1")
        return n_jobs


@dataclass(frozen=True)
class Work:
    """A job as it is handed to a launcher: called, it runs to its end and returns its status.

    Attributes:
        name: what tells it from the others.
        config_name: the command.
        settings: the `key=value` arguments to begin with.
        folder: of its run, which it goes on with if it has begun; None if the settings say all.
    """

    name: str
    config_name: str
    settings: Sequence[str]
    folder: Path | None

    def __call__(self) -> int:
        """Runs it; returns its status.

        Raises:
            UserError: another process has its run.
        """
        with children.alone(self.folder) as descriptors:
            own = children.overrides(self.settings, self.folder)
            return children.run(self.config_name, own, pass_fds=descriptors)

    def checkpoint(self) -> Any:
        """What submitit begins again where it has to stop the job: the same, which goes on.

        The run is saved first: the cluster then kills all processes of the job.
        """
        from submitit.helpers import DelayedSubmission

        children.finish()
        return DelayedSubmission(self)


def parse(options: dict[str, str]) -> Launcher:
    """Reads what a command line says of the launcher.

    Args:
        options: `name`, and what `hydra.launcher.` has been given.

    Raises:
        UserError: there is no such launcher, or it has no such option.
    """
    try:
        return Launcher.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        key = "hydra/launcher" if key == "name" else f"hydra.launcher.{key}"
        told = first["msg"].removeprefix("Value error, ")
        told = told[0].lower() + told[1:]
        raise UserError(f"{key}: {told}; received {files.clipped(first['input'])}") from error


def run(
    launcher: Launcher, work: Sequence[Work], parent: Path | None, told: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """Runs jobs; one that is stopped by a signal stops the others, too.

    Args:
        launcher: how.
        work: the jobs.
        parent: folder of their runs, for what submitit writes; None for the working directory.
        told: called with the number of a job, from 0 on, when it begins.

    Yields:
        The number of a job that has ended, and its status.

    Raises:
        UserError: another process has the run of a job, or submitit is not installed, or it cannot
            do what is asked of it.
    """
    if not work:
        return
    if launcher.name == "basic":
        for number, job in enumerate(work):
            told(number)
            status = job()
            yield number, status
            if status in signals.STOPS:
                return
    elif launcher.name == "joblib":
        yield from _at_once(launcher.n_jobs, work, told)
    else:
        yield from _submitted(launcher, work, parent or Path(), told)


def _at_once(
    n_jobs: int, work: Sequence[Work], told: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """Runs several jobs at once, each on processors of its own as far as there are enough."""
    processors = sorted(os.sched_getaffinity(0))
    count = min(len(processors) if n_jobs < 0 else n_jobs, len(work))
    shares: queue.SimpleQueue[Sequence[int]] = queue.SimpleQueue()
    for place in range(count):
        shares.put(processors[place::count] or [processors[place % len(processors)]])
    running: set[children.Child] = set()
    asked = 0
    stopped = False

    def one(number: int) -> int | None:
        if stopped:
            return None
        job, share = work[number], shares.get()
        try:
            told(number)
            with (
                children.alone(job.folder) as descriptors,
                children.Child(
                    job.config_name,
                    children.overrides(job.settings, job.folder),
                    pass_fds=descriptors,
                    processors=share,
                    piped=True,
                ) as child,
            ):
                running.add(child)
                if asked:
                    # It came while this one was being started.
                    child.ask(asked)
                for line in child.lines():
                    print(f"{files.clipped(job.name, 40)}: {line}", end="", flush=True)
                running.discard(child)
                return child.wait()
        finally:
            shares.put(share)

    def hand_on(count: int, number: int) -> None:
        nonlocal stopped, asked
        stopped, asked = True, count
        for child in list(running):
            child.ask(count)

    with signals.answered(hand_on), ThreadPoolExecutor(count) as pool:
        numbers = {pool.submit(one, number): number for number in range(len(work))}
        for ended in as_completed(numbers):
            status = ended.result()
            if status is not None:
                stopped = stopped or status in signals.STOPS
                yield numbers[ended], status


def _submitted(
    launcher: Launcher, work: Sequence[Work], parent: Path, told: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """Hands all jobs to submitit, and waits for them."""
    try:
        import submitit
    except ImportError as error:
        raise UserError(
            f"expected submitit to be installed for hydra/launcher={launcher.name} "
            "(pip install submitit); received none"
        ) from error
    # What submitit reads from there are pickles: none that was there before.
    folder = Path(tempfile.mkdtemp(prefix=".submitit-", dir=parent))
    cluster = launcher.name.removeprefix("submitit_")
    given = {name: getattr(launcher, name) for name in _BOTH}
    given |= {f"slurm_{name}": getattr(launcher, name) for name in _SLURM}
    try:
        executor = submitit.AutoExecutor(
            folder=folder,
            cluster=cluster,
            **{f"{cluster}_max_num_timeout": launcher.max_num_timeout},
        )
        executor.update_parameters(
            name="multirun", **{key: value for key, value in given.items() if value is not None}
        )
        # Processes that submitit starts find this program's modules.
        os.environ["PYTHONPATH"] = children.python_path()
        jobs = [executor.submit(job) for job in work]
    # Whatever a cluster's commands answer.
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(
            f"expected to submit jobs by {launcher.name}; received {files.clipped(error)}"
        ) from error
    for number in range(len(work)):
        told(number)
    deadline: list[float] = []

    def stop(count: int, number: int) -> None:
        deadline.append(time.monotonic() + _PATIENCE)
        for job in jobs:
            job.cancel(check=False)

    waiting = dict(enumerate(jobs))
    with signals.answered(stop):
        while waiting:
            for number, job in list(waiting.items()):
                if job.done() or (deadline and time.monotonic() > deadline[0]):
                    del waiting[number]
                    yield number, signals.STOPPED if deadline else _status(job)
            time.sleep(_PAUSE)
    shutil.rmtree(folder, ignore_errors=True)


def _status(job: Any) -> int:
    """The status of a job of submitit's; 1 where it has none, as one that was killed."""
    error = job.exception()
    status = 1 if error else int(job.result())
    if status and status not in signals.STOPS:
        # What it said of it stands where submitit keeps what a job prints.
        said = (job.stderr() or str(error or "")).strip().splitlines()
        print(files.clipped(said[-1], 600) if said else "no word of why", file=sys.stderr)
    return status
