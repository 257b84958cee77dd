"""Several runs by one command, each in a process of its own: a job is what it would be alone.

The jobs are written down before the first begins, in `multirun.json` of the folder that holds their
runs: what was stopped or killed goes on with `resume=<that folder>`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from src import children, files, launchers, results, runs, signals
from src.errors import UserError
from src.launchers import Launcher, Work

RECORD = "multirun.json"
_ENDINGS = {
    0: "done",
    2: "a mistake",
    signals.STOPPED: "stopped",
    signals.ENDED_AT_ONCE: "ended at once",
}
_MOST_NAME = 180  # In bytes: a folder's name may have 255.
_MOST_JOBS = 10_000


class _Planned(BaseModel):
    """A job as it is written down.

    Attributes:
        name: what tells it from the others.
        folder: of its run, beside the record.
        settings: the `key=value` arguments that it begins with.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    folder: Annotated[str, Field(pattern=r"^[^/\x00]+$", max_length=255)]
    settings: list[children.Setting]


class _Record(BaseModel):
    """The jobs of a folder, in their order, and what runs them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    jobs: Annotated[list[_Planned], Field(max_length=_MOST_JOBS)]
    launcher: Launcher = Launcher()


@dataclass
class _Job:
    """A job, and what came of it.

    Attributes:
        name: what tells it from the others.
        settings: the `key=value` arguments that it begins with.
        folder: of its run; None where it makes none of its own.
        status: what its process ended with; None if it has not begun.
    """

    name: str
    settings: list[str]
    folder: Path | None = None
    status: int | None = None

    @property
    def ending(self) -> str:
        """What came of it, in a word or two."""
        if self.status is None:
            return "not begun"
        return _ENDINGS.get(self.status, f"status {self.status}")


def run(
    config_name: str, jobs: list[tuple[str, list[str]]], launcher: Launcher | None = None
) -> int:
    """Runs jobs, and prints a table of what came of them.

    Args:
        config_name: the command.
        jobs: what tells each from the others, and its settings.
        launcher: what runs them; None for one after another.

    Returns:
        The status of the last job that failed, or that was stopped, which ends the others, too.

    Raises:
        UserError: the jobs' folder cannot be written to, or another process runs jobs there.
    """
    launcher = launcher or Launcher()
    planned = [_Job(name, settings) for name, settings in jobs]
    if config_name != "train":
        return _run_all(config_name, planned, launcher)
    for number, job in enumerate(planned, 1):
        if not any(argument.startswith("resume=") for argument in job.settings):
            job.folder = _folder(job.settings, number, job.name)
            job.settings = [
                argument for argument in job.settings if not argument.startswith("run_dir=")
            ]
    parents = dict.fromkeys(job.folder.parent for job in planned if job.folder)
    with ExitStack() as stack:
        for parent in parents:
            own = [job for job in planned if job.folder and job.folder.parent == parent]
            with runs.writing(parent):
                parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(runs.locked(parent))
                _write(parent, own, launcher)
        status = _run_all(config_name, planned, launcher)
        for parent in parents:
            _forget_if_none_began(parent)
    _tell_what_next(planned, list(parents))
    return status


def holds(folder: str) -> bool:
    """Whether a folder is that of several jobs."""
    # Where it may not be entered, it is none.
    own, jobs = (os.path.join(folder, name) for name in (runs.CONFIG, RECORD))
    return not os.path.exists(own) and os.path.isfile(jobs)


def go_on(folder: Path) -> int:
    """Goes on with jobs that were stopped: begins what has not begun, and leaves what is done.

    Args:
        folder: that of the jobs.

    Returns:
        As for `run`.

    Raises:
        UserError: what was written down is damaged, or another process runs these jobs.
    """
    with runs.locked(folder):
        record = _read(folder)
        jobs = [_job(planned, folder / planned.folder) for planned in record.jobs]
        status = _run_all("train", jobs, record.launcher)
    _tell_what_next(jobs, [folder])
    return status


def _job(planned: _Planned, folder: Path) -> _Job:
    done = results.complete(folder)
    return _Job(planned.name, planned.settings, folder, 0 if done else None)


def _run_all(config_name: str, jobs: list[_Job], launcher: Launcher) -> int:
    lines, left = [], []
    for number, job in enumerate(jobs, 1):
        line = f"job {number}/{len(jobs)}: {files.clipped(job.name) or 'as it is'}"
        if job.status is not None:
            print(f"{line} is done", flush=True)
            continue
        lines.append(line)
        left.append(job)
    work = [Work(job.name, config_name, job.settings, job.folder) for job in left]
    parent = next((job.folder.parent for job in left if job.folder), None)
    status = 0
    for place, ended in launchers.run(
        launcher, work, parent, lambda place: print(lines[place], flush=True)
    ):
        left[place].status = ended
        status = ended or status
    if config_name == "train" and any(job.ending != "a mistake" for job in jobs):
        _print_tables(jobs)
    failed = [job for job in jobs if job.status not in (None, 0, *signals.STOPS)]
    if failed:
        named = ", ".join(f"{files.clipped(job.name) or 'it'} ({job.ending})" for job in failed)
        print(f"{len(failed)} of {len(jobs)} jobs failed: {named}")
    return status


_begun = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def _folder(settings: list[str], number: int, name: str) -> Path:
    """Where a job's run goes: a folder named after what tells it from the others."""
    own = [argument.partition("=")[2] for argument in settings if argument.startswith("run_dir=")]
    parent = runs.OUTPUTS / f"multirun_{_begun}"
    if own and own[-1] != "null":
        text = own[-1]
        quote = text[:1]
        if quote in ("'", '"') and text.endswith(quote):
            text = text[1:-1].replace(f"\\{quote}", quote).replace("\\\\", "\\")
        parent = Path(text)
    safe = re.sub(r"[^\w.,=+-]+", "_", re.sub(r"run_dir=[^,]*,?", "", name)).strip("._,")
    clipped = safe.encode()[:_MOST_NAME].decode(errors="ignore")
    return parent / (clipped if clipped == safe and safe else f"{number}_{clipped}".strip("_"))


def _write(parent: Path, jobs: Sequence[_Job], launcher: Launcher) -> None:
    """Writes the jobs of a folder down, behind those that it holds already."""
    earlier = _read(parent).jobs if (parent / RECORD).exists() else []
    planned = {job.folder: job for job in earlier}
    for job in jobs:
        assert job.folder
        own = _Planned(name=job.name, folder=job.folder.name, settings=job.settings)
        planned.setdefault(own.folder, own)
    record = _Record(jobs=list(planned.values()), launcher=launcher)
    files.write(parent / RECORD, record.model_dump_json(indent=2) + "\n")


def _forget_if_none_began(parent: Path) -> None:
    """Leaves nothing of jobs all of which were a mistake."""
    # All locks begin with a dot.
    if {path.name for path in parent.glob("[!.]*")} == {RECORD}:
        shutil.rmtree(parent)


def _read(folder: Path) -> _Record:
    path = folder / RECORD
    record = children.read_record(path, _Record, "jobs")
    for job in record.jobs:
        if job.folder in (".", "..") or (folder / job.folder).is_symlink():
            raise UserError(f"{path}: expected a folder beside it; received {job.folder}")
        if any(argument.startswith(("resume=", "run_dir=")) for argument in job.settings):
            raise UserError(f"{path}: expected settings of a new run; received {job.name}")
    return record


def _print_tables(jobs: Sequence[_Job]) -> None:
    """Prints each job's ending and scores; of jobs that differ by their seed the mean, too."""
    from src import tables

    rows = [(job.name, job.ending, *_reached(job.folder)) for job in jobs]
    print(tables.aligned([("job", "", "validation", "test"), *rows], 4))
    for table in _over_seeds([job.folder for job in jobs if job.folder and job.status == 0]):
        print("\n" + table)


def _over_seeds(folders: Sequence[Path]) -> Iterator[str]:
    """Tables with mean and standard deviation, of the tasks in which there are several seeds."""
    from src import comparison, tables

    compared = [comparison.read(folder) for folder in folders if results.complete(folder)]
    for task in dict.fromkeys(run.task for run in compared):
        groups = comparison.groups([run for run in compared if run.task == task])
        if any(len(group.runs) > 1 for group in groups):
            yield tables.compared(groups)


def _tell_what_next(jobs: Sequence[_Job], parents: Sequence[Path]) -> None:
    if any(job.status is None or job.status in signals.STOPS for job in jobs):
        for parent in parents:
            print(f"stopped; python -m src.train resume={parent} goes on with the jobs")


def _reached(folder: Path | None) -> tuple[str, str]:
    """What a run's results say of its validation and test, as a line each."""
    if folder is None:
        return "", ""
    try:
        metrics = results.read(folder).metrics
    except UserError:
        return "", ""
    return _scores(metrics.get("val", {})), _scores(metrics.get("test", {}))


def _scores(scores: results.Scores) -> str:
    shown = [f"{name} {value:.4g}" for name, value in scores.items() if value is not None]
    return "  ".join(shown)
