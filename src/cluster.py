"""The cluster that a process belongs to, as its environment describes it; needs no TensorFlow.

Two descriptions are read: `TF_CONFIG`, which Kubeflow's TFJob and Vertex set and which can be set
by hand, and the variables that Slurm's `srun` sets for each task of a step.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from src import files
from src.config import Train
from src.errors import UserError

_Job = Literal["chief", "worker"]
_VARIABLE = "TF_CONFIG"
_SLURM = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")
# With these a process is in no cluster.
ALONE = {_VARIABLE: "", _SLURM[0]: "1"}


class WorkerLost(Exception):
    """Another worker has ended, or has not answered for some seconds."""


@dataclass(frozen=True)
class Cluster:
    """Several workers, of which this process is one.

    Attributes:
        workers: how many there are.
        index: of this process; 0 is the chief, which alone writes.
        slurm: whether Slurm describes it.
    """

    workers: int
    index: int
    slurm: bool = False


class _Task(BaseModel):
    type: _Job
    index: Annotated[int, Field(ge=0)]


class _Described(BaseModel):
    cluster: dict[_Job, list[str]] = Field(default_factory=dict)
    task: _Task | None = None


def described() -> Cluster | None:
    """The cluster of several workers that the environment describes; None if it describes none.

    Raises:
        UserError: `TF_CONFIG` or Slurm's variables describe something else.
    """
    if text := os.environ.get(_VARIABLE, "").strip():
        return _of_tf_config(text)
    tasks, rank = (os.environ.get(name, "1") for name in _SLURM)
    if not (tasks.isdecimal() and rank.isdecimal()):
        raise UserError(
            f"expected numbers as {' and '.join(_SLURM)}; received {files.clipped((tasks, rank))}"
        )
    return Cluster(int(tasks), int(rank), slurm=True) if int(tasks) > 1 else None


def _of_tf_config(text: str) -> Cluster | None:
    try:
        found = _Described.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{_VARIABLE}: expected workers' addresses and this process' task, as JSON; received "
            f"{files.clipped(text)} ({key + ': ' if key else ''}{first['msg']})"
        ) from error
    addresses = [*found.cluster.get("chief", ()), *found.cluster.get("worker", ())]
    if len(addresses) < 2:
        return None
    task = found.task
    if task is None or task.index >= len(found.cluster.get(task.type, ())):
        raise UserError(
            f"{_VARIABLE}: expected a task that names one of the {len(addresses)} workers; "
            f"received {files.clipped(text)}"
        )
    before = len(found.cluster.get("chief", ())) if task.type == "worker" else 0
    return Cluster(len(addresses), before + task.index)


def joined(settings: Train) -> Cluster | None:
    """The cluster in which a run is to be trained; None for a run of one process.

    Raises:
        UserError: `trainer.strategy` asks for a cluster where there is none, or the run cannot be
            trained by several workers.
    """
    asked = settings.trainer.strategy
    if asked not in ("auto", "multi_worker"):
        return None
    found = described()
    if found is None and asked == "multi_worker":
        raise UserError(
            f"expected a cluster of two workers or more, described by {_VARIABLE} or by srun, for "
            "trainer.strategy=multi_worker; received none"
        )
    if found is not None:
        check(settings, found.workers, "workers")
    return found


def check(settings: Train, count: int, what: str) -> None:
    """Refuses a run that cannot be trained on several devices.

    Raises:
        UserError: a batch has no equal parts, or the model's features are computed once.
    """
    if settings.trainer.batch_size % count:
        raise UserError(
            f"expected trainer.batch_size to be a multiple of the {count} {what}; received "
            f"trainer.batch_size={settings.trainer.batch_size}"
        )
    if settings.model.features:
        raise UserError(
            f"expected trainer.strategy=one for model={settings.model.name}, whose features one "
            f"device computes once; received {count} {what}"
        )
