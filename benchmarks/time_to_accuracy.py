"""Seconds from the shell to 99 % of MNIST's test set: ours, keras.io's and PyTorch's examples.

    python -m benchmarks.time_to_accuracy [--seeds 3] [--peer-python P]

Ours is `python -m src.train experiment=fast`, which knows nothing of the test set before it ends;
the peers stop at the first end of an epoch at which they have 99 % of the test set. Each is a
process of its own, of which everything counts: imports, data, graph, training, evaluation.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import contest
from benchmarks.contest import Measurement


def main() -> None:
    """Reads the command line, lets the three take turns, prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument(
        "arguments", nargs="*", help="arguments for our own command, to try another recipe"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = str(folder / "mnist.npz")
        contest.write_mnist(Path(data))

        def ours(seed: int) -> Measurement:
            arguments = ["experiment=fast", f"seed={seed}", *asked.arguments]
            measured = contest.ours(arguments, folder / str(seed))
            return {**measured, "accuracy": measured["metrics"]["test"]["accuracy"]}

        def keras(seed: int) -> Measurement:
            arguments = ["example", data, str(seed)]
            return contest.peer(sys.executable, "benchmarks.keras_peers", arguments)

        def pytorch(seed: int) -> Measurement:
            arguments = ["example", data, str(seed)]
            return contest.peer(asked.peer_python, "benchmarks.pytorch_peers", arguments)

        contenders = {"experiment=fast": ours, "keras.io example": keras}
        if contest.has_torch(asked.peer_python):
            contenders["PyTorch example"] = pytorch
        measured = contest.take_turns(asked.seeds, contenders)
    print(f"{asked.seeds} seeds on {os.cpu_count()} processors: median (least to most)\n")
    print("| | seconds | ours takes, of that | accuracy on the test set, seed by seed |")
    print("|---|---|---|---|")
    for name, runs in measured.items():
        seconds = contest.spread([run["process_seconds"] for run in runs], 1)
        share = contest.quotients(measured["experiment=fast"], runs, "process_seconds")
        accuracy = " ".join(f"{run['accuracy']:.2%}" for run in runs)
        print(f"| {name} | {seconds} | {contest.spread(share, 2)} | {accuracy} |")


if __name__ == "__main__":
    main()
