"""What a run is trained on: one device, several of one machine, or several machines.

TensorFlow's strategies do the work: each replica computes the gradient of its part of a batch, an
all-reduce adds the gradients up, and every replica makes the same update.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from src import files, signals
from src.cluster import Cluster, WorkerLost
from src.data.pipeline import WHOLE, Share
from src.errors import UserError

# Bytes of what a worker tells the others.
_MESSAGE = 16384
# Ports of Slurm's tasks begin in this range, at another place for each job.
_PORTS, _JOBS = 10_000, 20_000
# What a collective ends with when a worker is gone: its connection, its heartbeats, or its own end.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
)


@dataclass(frozen=True)
class Devices:
    """What a run is trained on.

    Attributes:
        strategy: of TensorFlow; None for one device.
        workers: processes, each with as many devices.
        worker: number of this process, 0 for the chief, which alone writes.
    """

    strategy: Any = None
    workers: int = 1
    worker: int = 0

    @property
    def name(self) -> str:
        """The value of `trainer.strategy` that asks for it."""
        if self.strategy is None:
            return "one"
        return "multi_worker" if self.workers > 1 else "mirrored"

    @property
    def chief(self) -> bool:
        """Whether this process writes."""
        return self.worker == 0

    @property
    def replicas(self) -> int:
        """How many parts a batch is trained in, over all workers."""
        return self.share.of

    @property
    def share(self) -> Share:
        """The parts of a batch that this process trains."""
        if self.strategy is None:
            return WHOLE
        local = len(self.strategy.extended.worker_devices)
        return Share(self.worker * local, local, self.workers * local)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Within the block variables are made on every device, with the chief's values."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()

    def batches(self, make: Callable[[Share], tf.data.Dataset]) -> Any:
        """What `make` makes of this process' share, an element for each of its devices in turn."""
        if self.strategy is None:
            return make(WHOLE)
        return self.strategy.distribute_datasets_from_function(lambda context: make(self.share))

    def exchange(self, told: dict[str, Any]) -> list[dict[str, Any]]:
        """What each worker tells the others, in their order; all of them have to call it.

        Args:
            told: at most 16 kB as JSON.
        """
        if self.workers == 1:
            return [told]
        rows = np.zeros((self.workers, _MESSAGE), np.float32)
        text = json.dumps(told).encode()
        rows[self.worker, : len(text)] = np.frombuffer(text, np.uint8)
        summed = tf.function(lambda: self.strategy.reduce("SUM", tf.constant(rows), axis=None))()
        texts = (row.astype(np.uint8).tobytes().rstrip(b"\0") for row in summed.numpy())
        return [json.loads(text) for text in texts]

    def expect_equal(self, facts: dict[str, str]) -> None:
        """Makes sure that all workers are about to train the same.

        Raises:
            UserError: on every worker, the first fact that is another on one of them.
        """
        first, *others = self.exchange(facts)
        for number, other in enumerate(others, start=1):
            for key, value in first.items():
                if other[key] != value:
                    raise UserError(
                        f"expected the same {key} on every worker; received {value} on worker 0, "
                        f"{files.clipped(other[key])} on worker {number}"
                    )


ONE = Devices()


def connect(cluster: Cluster) -> Devices:
    """Joins a cluster, and waits until all of its workers have; nothing of TensorFlow comes before.

    Raises:
        UserError: the workers' addresses cannot be had, or this one's cannot be taken.
    """
    if cluster.slurm:
        os.environ["TF_CONFIG"] = json.dumps(of_slurm())
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except _LOST as error:
        raise WorkerLost(_reason(error)) from error
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(
            f"expected to join a cluster of {cluster.workers} workers; received "
            f"{files.clipped(error)}"
        ) from error
    finally:
        signals.renew()
    return Devices(strategy, cluster.workers, cluster.index)


def of_slurm() -> dict[str, Any]:
    """Slurm's description as TF_CONFIG.

    The resolver's own choice of GPUs is left out: it fails where there are none, and srun's
    `--gpus-per-task` has made one already.
    """
    try:
        tasks, job = (int(os.environ[f"SLURM_{key}"]) for key in ("STEP_NUM_TASKS", "JOB_ID"))
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=_PORTS + job % _JOBS, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        spec = resolver.cluster_spec()
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise UserError(
            f"expected Slurm's variables of a step; received {files.clipped(error)}"
        ) from error
    return {
        "cluster": spec.as_dict(),
        "task": {"type": resolver.task_type, "index": resolver.task_id},
    }


def local(asked: str) -> Devices:
    """The devices of this machine that `trainer.strategy` asks for.

    Raises:
        UserError: it asks for several and there is one.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if asked == "one" or (asked == "auto" and len(gpus) < 2):
        return ONE
    devices = gpus or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise UserError(
            "expected two GPUs or more for trainer.strategy=mirrored; "
            f"received {len(gpus) or 'none'}"
        )
    return Devices(tf.distribute.MirroredStrategy([device.name for device in devices]))


@contextlib.contextmanager
def noticing_losses(devices: Devices) -> Iterator[None]:
    """Tells that another worker is gone from everything else that TensorFlow raises.

    Raises:
        WorkerLost: within the block a collective ended because another worker did.
    """
    try:
        yield
    except _LOST as error:
        if devices.workers == 1:
            raise
        raise WorkerLost(_reason(error)) from error


def _reason(error: tf.errors.OpError) -> str:
    """What a collective says of its end, in a line."""
    _, found, rest = error.message.partition("Collective ops is aborted by: ")
    return files.clipped((rest if found else error.message).strip().splitlines()[0])
