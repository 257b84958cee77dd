"""Times the training of this project against plain Keras and PyTorch, taking turns.

    python -m benchmarks.train [--rounds 5] [--steps N] [--models lenet5 ...] [--peers pytorch ...]
        [--peer-python P]

The same network, batch and optimizer (Adam) on the same data, each contender in a process of its
own: one epoch to warm up, then the steps that count. Ours is `python -m src.train` with all that it
writes; its learning rate follows a schedule, and LeNet-5's weights and those of `street` decay.
Peers train only, as `ours, training only` does: of `street` they have windows in memory that ours
cuts out of pictures, mirrors and scales, and weigh no class. Whole processes are comparable where
all train two epochs, which is so unless `--steps` asks for less of MNIST; ours validates, draws,
saves and tests in that time.

The share of the machine: the multiply-adds of a training step, three times those of the layers
less the gradient of the image, against the fastest product of two large matrices.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import contest
from benchmarks.contest import Measurement
from benchmarks.setups import SETUPS

_KERAS = {
    "keras arrays float32": ("arrays", "float32"),
    "keras tf.data float32": ("tf.data", "float32"),
    "keras tf.data bfloat16": ("tf.data", "bfloat16"),
}
_PYTORCH = {
    "pytorch float32": ("memory", "float32", "contiguous"),
    "pytorch float32 channels_last": ("memory", "float32", "channels_last"),
    "pytorch bfloat16": ("memory", "bfloat16", "contiguous"),
    "pytorch bfloat16 channels_last": ("memory", "bfloat16", "channels_last"),
    "pytorch DataLoader float32": ("loader", "float32", "contiguous"),
}


def contenders(
    model: str, steps: int, folder: Path, peer_python: str | None, peers: Sequence[str]
) -> dict[str, Callable[[int], Measurement]]:
    """Who trains a model, by name; ours first, then those whose names begin like one of `peers`."""
    setup, data = SETUPS[model], str(folder / "data.npz")
    arguments = [*setup.arguments, *setup.prepare(setup, steps, folder)]

    def ours(number: int) -> Measurement:
        measured = contest.ours(arguments, folder / f"{model}-{number}")
        return {**measured, "images_per_second": measured["rows"][-1]["images_per_second"]}

    def bare(number: int) -> Measurement:
        return contest.peer(sys.executable, "benchmarks.bare", arguments)

    def keras(number: int, feed: str, precision: str) -> Measurement:
        arguments = ["train", data, model, feed, precision, str(steps)]
        return contest.peer(sys.executable, "benchmarks.keras_peers", arguments)

    def pytorch(number: int, feed: str, precision: str, order: str) -> Measurement:
        arguments = ["train", data, model, feed, precision, order, str(steps)]
        return contest.peer(str(peer_python), "benchmarks.pytorch_peers", arguments)

    running: dict[str, Callable[[int], Measurement]] = {"ours": ours, "ours, training only": bare}
    for name, (feed, precision) in _KERAS.items():
        running[name] = functools.partial(keras, feed=feed, precision=precision)
    for name, (feed, precision, order) in _PYTORCH.items() if peer_python else ():
        running[name] = functools.partial(pytorch, feed=feed, precision=precision, order=order)
    chosen = "ours", *peers
    return {name: run for name, run in running.items() if name.startswith(chosen)}


def report(model: str, measured: dict[str, list[Measurement]], products: dict[str, float]) -> None:
    """Prints a table of a model, and what its best peers come to."""
    parameters = {name: runs[0]["parameters"] for name, runs in measured.items()}
    if len(set(parameters.values())) > 1:
        raise RuntimeError(f"expected equal networks; received parameters={parameters}")
    ours = measured["ours"]
    print(f"\n### {model}, {ours[0]['parameters']:,} parameters, {ours[0]['precision']}\n")
    print("| | images/s | ours is faster by | seconds of the process | ours is shorter by |")
    print("|---|---|---|---|---|")
    for name, runs in measured.items():
        speed = contest.spread([run["images_per_second"] for run in runs])
        seconds = contest.spread([run["process_seconds"] for run in runs], 1)
        faster = contest.spread(contest.quotients(ours, runs, "images_per_second"), 2)
        shorter = contest.spread(contest.quotients(runs, ours, "process_seconds"), 2)
        print(f"| {name} | {speed} | {faster} | {seconds} | {shorter} |")
    each = operations(model)
    reached = each * statistics.median(run["images_per_second"] for run in ours)
    shares = ", ".join(f"{reached / best:.0%} of {name}" for name, best in products.items())
    print(f"\n{each:,} operations an image, {reached / 1e9:,.0f} GFLOP/s: {shares}.")


def operations(model: str) -> int:
    """Floating-point operations of a training step for one image, a multiply-add being two."""
    from src.models.build import build
    from src.models.layer_table import rows

    setup = SETUPS[model]
    network = build(contest.composed(*setup.arguments).model, setup.shape, setup.classes)
    costs = [row.multiply_adds for row in rows(network)]
    return 2 * (3 * sum(costs) - next(cost for cost in costs if cost))


def ceilings(peer_python: str | None) -> dict[str, float]:
    """Operations a second of the fastest large matrix product, by precision."""
    best = {}
    for precision in ("float32", "bfloat16"):
        libraries = {"benchmarks.keras_peers": sys.executable}
        if peer_python:
            libraries["benchmarks.pytorch_peers"] = peer_python
        rates = [
            contest.peer(python, module, ["product", precision])["operations_per_second"]
            for module, python in libraries.items()
        ]
        best[f"the {precision} product, {max(rates) / 1e9:,.0f} GFLOP/s"] = max(rates)
    return best


def main() -> None:
    """Reads the command line, lets the contenders take turns, prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of an epoch; at most 550 of MNIST")
    parser.add_argument("--models", nargs="+", choices=SETUPS, default=list(SETUPS))
    parser.add_argument("--peers", nargs="+", default=["keras", "pytorch"], help="as they begin")
    parser.add_argument("--peer-python", default=sys.executable)
    asked = parser.parse_args()
    peer_python = asked.peer_python if contest.has_torch(asked.peer_python) else None
    print(f"{asked.rounds} rounds on {os.cpu_count()} processors: median (least to most)")
    products = ceilings(peer_python)
    for model in asked.models:
        with tempfile.TemporaryDirectory() as folder:
            steps = asked.steps or SETUPS[model].steps
            running = contenders(model, steps, Path(folder), peer_python, asked.peers)
            report(model, contest.take_turns(asked.rounds, running), products)


if __name__ == "__main__":
    main()
