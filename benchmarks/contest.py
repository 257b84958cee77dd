"""What the benchmarks share: contenders that take turns, each in a process of its own.

Whatever else the machine does then falls on all of them. A ratio is the median over the rounds of
the quotient within a round; its spread is the least and the greatest of these quotients.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import hydra
import numpy as np
from omegaconf import OmegaConf

from src import config
from src.data import sources
from src.overrides import CONFIGS

ROOT = Path(__file__).resolve().parent.parent
Measurement = dict[str, Any]


def composed(*arguments: str) -> config.Train:
    """The configuration that `python -m src.train` would have with these arguments."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composition = hydra.compose("train", [*arguments])
    values = cast("dict[str, Any]", OmegaConf.to_container(composition, resolve=True))
    del values["resume"], values["force"], values["config"]
    return config.parse(config.Train, values)


def write_mnist(path: Path) -> None:
    """Writes MNIST as arrays for the peers; the last 5,000 training examples are validation."""
    splits = sources.load(config.TfdsData(name="mnist", fallback=False)).splits
    parts = [splits[name].arrays() for name in ("train", "val")]
    test = splits["test"].arrays()
    np.savez(
        path,
        x_train=np.concatenate([part.images for part in parts]),
        y_train=np.concatenate([part.targets for part in parts]),
        x_test=test.images,
        y_test=test.targets,
        batch=100,
        classes=10,
    )


def has_torch(python: str) -> bool:
    """Whether an interpreter has PyTorch; says so if not."""
    found = subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0
    if not found:
        print(f"no PyTorch in {python}: name an interpreter that has it with --peer-python")
    return found


def ours(arguments: Sequence[str], folder: Path) -> Measurement:
    """Runs `python -m src.train`; returns its `results.json` and the seconds of the process."""
    command = [sys.executable, "-m", "src.train", *arguments, f"run_dir={folder}"]
    seconds, _ = _timed(command)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {**results, "rows": [json.loads(row) for row in rows], "process_seconds": seconds}


def peer(python: str, module: str, arguments: Sequence[str]) -> Measurement:
    """Runs a peer, which prints JSON in its last line; returns that and the process' seconds.

    What the peer reports as `not_counted` seconds is taken off.
    """
    seconds, printed = _timed([python, "-m", module, *arguments])
    measured = json.loads(printed.splitlines()[-1])
    return {**measured, "process_seconds": seconds - measured.get("not_counted", 0.0)}


def _timed(command: Sequence[str]) -> tuple[float, str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return seconds, done.stdout


def take_turns(
    rounds: int, contenders: Mapping[str, Callable[[int], Measurement]]
) -> dict[str, list[Measurement]]:
    """Lets every contender run once a round; hands each the number of the round."""
    measured: dict[str, list[Measurement]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            measured[name].append(contender(number))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return measured


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and from where to where the values go."""
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{median:,.{digits}f} ({least:,.{digits}f} to {most:,.{digits}f})"


def quotients(above: Sequence[Measurement], below: Sequence[Measurement], key: str) -> list[float]:
    """`key` of the one divided by that of the other, round by round."""
    return [a[key] / b[key] for a, b in zip(above, below, strict=True)]
