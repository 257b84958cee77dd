"""What a run has to have before its first step: devices, data, and workers that agree on both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from src import cluster, config, machine, quiet
from src.data import sources
from src.errors import UserError

if TYPE_CHECKING:
    from src.data.dataset import DataSet
    from src.training.strategies import Devices


def ready(
    settings: config.Train, worker: cluster.Cluster | None
) -> tuple[config.Train, DataSet, Devices]:
    """The resolved settings, the data and the devices of a run, on which all of its workers agree.

    Args:
        settings: of the run.
        worker: what this process is in its cluster; None if it is in none.

    Raises:
        UserError: the data cannot be read, the devices cannot be had or do not fit the run, or
            workers have other settings or data.
        WorkerLost: another worker has ended.
    """
    connected = _connect(settings, worker) if worker else None
    data = _read(settings)
    from src import experiment
    from src.training import strategies

    devices = connected or strategies.local(settings.trainer.strategy)
    with strategies.noticing_losses(devices):
        settings = experiment.resolved(settings, data, devices)
        experiment.agree(settings, data, devices)
    return settings, data, devices


def _connect(settings: config.Train, worker: cluster.Cluster) -> Devices:
    """Joins the cluster, before TensorFlow has done anything else."""
    machine.share_threads(settings)
    # What TensorFlow has to say of a worker that is gone are pages.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    print(f"worker {worker.index} of {worker.workers}: waiting for the others", flush=True)

    def connect() -> Devices:
        from src.training import strategies

        return strategies.connect(worker)

    return cast("Devices", quiet.tensorflow(connect))


def _read(settings: config.Train) -> DataSet:
    """Reads and checks the data, and imports TensorFlow, which takes seconds, only then.

    Raises:
        UserError: the data cannot be read, or have one class only for a classifier.
    """
    machine.share_threads(settings)
    data = sources.load(settings.data)
    if settings.model.task == "classification" and len(data.classes) < 2:
        raise UserError(
            f"expected two classes or more for model={settings.model.name}; received "
            f"{data.source} with class {', '.join(data.classes)} only"
        )
    # Reading and TensorFlow take seconds and print nothing.
    print(f"{settings.model.name} on {data.name}: reading, then TensorFlow begins", flush=True)
    data.read()
    quiet.tensorflow()
    return data
