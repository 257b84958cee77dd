"""Times a step against the number of workers, and what its collectives take; predicts the rest.

    python -m benchmarks.scaling [--model lenet_mnist] [--workers 1 2] [--batch 100] [--rounds 3]

Workers are processes on this machine, one processor each, which talk over its loopback interface;
each trains `--batch` examples a step, however many there are. The time of a step is that of
`python -m src.train`, the median over the epochs after the first. What an all-reduce takes is timed
by itself, of as many bytes as the gradients have and of the vector that the metrics need.

On paper: a step takes as long as one device computes, then as long as a ring all-reduce of the
gradients. In it every host sends and receives `2 (h - 1) / h` of the bytes, however many devices it
has, in `2 (h - 1)` messages one after another (Patarasu and Yuan 2009), each of which takes as long
as was measured here. Nothing overlaps, as nothing does in the training step.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import contest
from src import cluster, quiet

_EPOCHS = 4
_REPEATS = 100
_HOSTS = (2, 4, 8, 16, 32, 64, 128, 256)
_DEVICES = (1, 2, 4, 8)
_GBIT = (10, 100)


def processes(count: int, arguments: Sequence[str]) -> str:
    """Runs `python -m` as each worker of a cluster; returns what the chief prints."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = ["{}:{}".format(*each.getsockname()) for each in sockets]
    processors = sorted(os.sched_getaffinity(0))
    running = []
    for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        own = processors[index % len(processors)]
        running.append(
            subprocess.Popen(
                ["taskset", "-c", str(own), sys.executable, "-m", *arguments],
                env={**os.environ, "TF_CONFIG": json.dumps(task), "TF_CPP_MIN_LOG_LEVEL": "3"},
                cwd=contest.ROOT,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
    printed = [process.communicate()[0] for process in running]
    for process, text in zip(running, printed, strict=True):
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments)}\n{text}")
    return printed[0]


def trained(model: str, workers: int, batch: int, folder: Path) -> dict[str, Any]:
    """Trains a model; returns its parameters, and the seconds of a step."""
    arguments = [f"model={model}", "data=mnist_5k", f"trainer.batch_size={batch * workers}"]
    arguments += [f"trainer.epochs={_EPOCHS}", "trainer.shards=1", f"run_dir={folder}"]
    processes(workers, ["src.train", *arguments])
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    speeds = [json.loads(line)["images_per_second"] for line in lines[1:]]
    return {
        "parameters": results["parameters"],
        "seconds": batch * workers / statistics.median(speeds),
    }


def reduce_repeatedly(sizes: Sequence[int]) -> None:
    """As one worker of a cluster prints the median seconds of an all-reduce for each size."""
    found = cluster.described()
    if found is None:
        raise ValueError("expected a cluster of several workers; received none")

    def connect() -> Any:
        from src.training import strategies

        return strategies.connect(found)

    devices = quiet.tensorflow(connect)
    import tensorflow as tf

    taken = []
    for size in sizes:
        vector = tf.Variable(tf.zeros(max(1, size // 4)))
        reduce = tf.function(lambda v=vector: devices.strategy.reduce("SUM", v + 0, axis=None))
        seconds = []
        for _ in range(_REPEATS):
            begun = time.perf_counter()
            reduce().numpy()
            seconds.append(time.perf_counter() - begun)
        taken.append(statistics.median(seconds[_REPEATS // 10 :]))
    print(json.dumps(taken))


def speed_up(
    hosts: int, devices: int, gbit: float, compute: float, size: int, message: float
) -> float:
    """How many times as many examples a second as one device all devices train.

    Args:
        hosts: machines.
        devices: of each.
        gbit: gigabits a second that a machine sends and receives.
        compute: seconds that one device computes for its part of a batch.
        size: bytes of the gradients.
        message: seconds that a message takes, whatever its size.
    """
    sent = 2 * (hosts - 1) / hosts * size
    reduced = sent * 8 / (gbit * 1e9) + 2 * (hosts - 1) * message
    return hosts * devices * compute / (compute + reduced)


def on_paper(compute: float, size: int, message: float) -> None:
    """Prints predictions in Markdown."""
    print(
        f"\n{1000 * compute:.3g} ms a device, {size:,} bytes, {1e6 * message:.0f} us a message:\n"
    )
    print("| hosts | " + " | ".join(f"{n} at {g} Gbit/s" for g in _GBIT for n in _DEVICES) + " |")
    print("|---|" + "---|" * len(_GBIT) * len(_DEVICES))
    for hosts in _HOSTS:
        found = [speed_up(hosts, n, g, compute, size, message) for g in _GBIT for n in _DEVICES]
        print(f"| {hosts} | " + " | ".join(f"{value:.3g}" for value in found) + " |")


def main() -> None:
    """Reads the command line, lets the numbers of workers take turns, prints tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="lenet_mnist")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=100, help="examples a step for each worker")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--faster", type=float, nargs="+", default=[1, 100])
    parser.add_argument("--reduce", type=int, nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.reduce:
        reduce_repeatedly(asked.reduce)
        return
    steps: dict[int, list[float]] = {workers: [] for workers in asked.workers}
    for number in range(asked.rounds):
        for workers in asked.workers:
            with tempfile.TemporaryDirectory() as folder:
                found = trained(asked.model, workers, asked.batch, Path(folder) / str(number))
            steps[workers].append(found["seconds"])
            print(".", end="", file=sys.stderr, flush=True)
    size = 4 * found["parameters"]
    print(f"\n{asked.model}, {size:,} bytes of gradients, {asked.batch} examples each\n")
    print("| workers | ms a step | all-reduce of the gradients, ms | of the metrics, ms |")
    print("|---|---|---|---|")
    message = 0.0
    for workers, seconds in steps.items():
        taken = [0.0, 0.0]
        if workers > 1:
            module = ["benchmarks.scaling", "--reduce", str(size), "1000"]
            taken = json.loads(processes(workers, module).splitlines()[-1])
            message = message or taken[1] / (2 * (workers - 1))
        shown = " | ".join(f"{1000 * value:.2f}" for value in taken)
        print(f"| {workers} | {contest.spread([1000 * s for s in seconds], 1)} | {shown} |")
    alone = statistics.median(steps[min(steps)])
    for faster in asked.faster:
        on_paper(alone / faster, size, message)


if __name__ == "__main__":
    main()
