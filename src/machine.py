"""What a run leaves to the machine: precision, shards of a batch, threads; and its memory."""

from __future__ import annotations

import os
from pathlib import Path

from src import config

# Within an operation, and how many operations at once.
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_SHARDS = 2


def share_threads(settings: config.Train) -> None:
    """Gives each shard of a batch threads of its own; to be called before TensorFlow starts.

    Two threads that share an operation on small maps wait for one another after each; two shards,
    each a chain of operations on one thread, meet once a step.
    """
    shards = _shards(settings)
    if shards > 1:
        threads = max(1, _processors() // shards)
        for name, number in zip(_THREADS, (threads, shards), strict=True):
            os.environ.setdefault(name, str(number))


def resolved(settings: config.Train) -> config.Train:
    """Writes out what was left to the machine.

    `trainer.precision=auto` is bfloat16 where the machine multiplies that faster;
    `trainer.shards=null` is 2 for the models of small maps, on several processors and no GPU, if
    the batch is even.
    """
    import tensorflow as tf

    trainer, gpu = settings.trainer, bool(tf.config.list_physical_devices("GPU"))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        flags = ""
    fast = "avx512_bf16" in flags or "amx_bf16" in flags or gpu
    changes: dict[str, object] = {}
    if trainer.precision == "auto":
        changes["precision"] = "bfloat16" if fast else "float32"
    if trainer.shards is None:
        changes["shards"] = 1 if gpu else _shards(settings)
    return settings.model_copy(update={"trainer": trainer.model_copy(update=changes)})


def memory() -> int:
    """Bytes of memory that this process may have."""
    own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return own
    return min(own, int(allowed)) if allowed.isdecimal() else own


def _shards(settings: config.Train) -> int:
    trainer = settings.trainer
    if trainer.shards is not None:
        return trainer.shards
    fits = trainer.batch_size % _SHARDS == 0 and _processors() >= _SHARDS
    return _SHARDS if fits and settings.model.small_maps and settings.model.separable else 1


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
