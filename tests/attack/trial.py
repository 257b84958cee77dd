"""One command run under attack, and what must not come of it whatever it meets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np

from tests.commands import ROOT

MEMORY = 4 << 30
SECONDS = 150
# A short run with everything in it: nine steps in three epochs, checkpoints inside of them.
STEPS = 9
TRAINING = (
    "model=lenet5 data=mnist_5k trainer.batch_size=1000 trainer.pictures=2 "
    f"trainer.checkpoint_every=2 trainer.keep=1 trainer.steps={STEPS}"
).split()
ALLOWED = {0, 2, 75}


@dataclass
class Outcome:
    """What a command came to.

    Attributes:
        status: exit status; negative for a signal, None if it hung.
        out: standard output.
        err: standard error.
        memory: most bytes that it held.
    """

    status: int | None
    out: str
    err: str
    memory: int


@dataclass
class Report:
    """What one kind of attack has tried, and what went wrong."""

    kind: str
    tried: int = 0
    faults: list[str] = field(default_factory=list)

    def expect(self, right: bool, fault: str) -> None:
        """Notes a fault, and prints it at once: a campaign may be cut short."""
        if not right:
            self.faults.append(fault)
            print(f"  FAULT {self.kind}: {fault}", flush=True)

    def count(self) -> None:
        """Counts one more trial."""
        self.tried += 1
        if self.tried % 10 == 0:
            print(f"  {self.kind}: {self.tried} tried", flush=True)

    def judge(self, what: str, outcome: Outcome, allowed: set[int] | None = None) -> bool:
        """Checks what holds for every command: it ends, in words, within its memory.

        Returns:
            Whether it ended as it may.
        """
        right = ALLOWED if allowed is None else allowed
        tail = " / ".join((outcome.err or outcome.out).splitlines()[-3:])[:300]
        before = len(self.faults)
        self.expect(outcome.status is not None, f"{what}: hung")
        if outcome.status is not None:
            self.expect(outcome.status in right, f"{what}: status {outcome.status}: {tail}")
        both = outcome.out + outcome.err
        self.expect("Traceback" not in both, f"{what}: a traceback: {tail}")
        self.expect("Exception ignored" not in both, f"{what}: an exception was ignored: {tail}")
        self.expect(outcome.memory < MEMORY, f"{what}: {outcome.memory >> 20} MiB")
        if outcome.status == 2:
            lines = [line for line in outcome.err.splitlines() if line.startswith("error:")]
            self.expect(len(lines) == 1, f"{what}: status 2 with {len(lines)} lines of error")
            self.expect(all(len(line) < 2000 for line in lines), f"{what}: a line without an end")
        return len(self.faults) == before


def invoke(
    module: str,
    words: Sequence[str],
    folder: Path,
    *,
    hook: str | None = None,
    until: Callable[[subprocess.Popen[bytes]], None] | None = None,
    **options: Any,
) -> Outcome:
    """Runs `python -m module words` in a folder.

    Args:
        module: the command.
        words: of its command line.
        folder: the working directory.
        hook: Python code that is run in the process before the command.
        until: what is done to the process while it runs.
        options: of `subprocess.Popen`.
    """
    environment: dict[str, str] = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        **options.pop("env", {}),
    }
    environment.pop("TFDS_DATA_DIR", None)
    with tempfile.TemporaryDirectory() as aside:
        if hook:
            Path(aside, "sitecustomize.py").write_text(hook)
            environment["PYTHONPATH"] = f"{aside}{os.pathsep}{ROOT}"
        with Path(aside, "out").open("w+b") as out, Path(aside, "err").open("w+b") as err:
            streams: dict[str, Any] = {"stdout": out, "stderr": err, "stdin": subprocess.DEVNULL}
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                cwd=folder,
                env=environment,
                start_new_session=True,
                **(streams | options),
            )
            if until:
                threading.Thread(target=until, args=(process,), daemon=True).start()
            status, memory = _wait(process)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace"))
    return Outcome(status, texts[0], texts[1], memory)


def _wait(process: subprocess.Popen[bytes]) -> tuple[int | None, int]:
    """Waits for the end, or makes one; returns the status and the most bytes that it held."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss << 10
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = -signal.SIGKILL
    return None, usage.ru_maxrss << 10


def weights(checkpoint: Path) -> dict[str, np.ndarray]:
    """Every array of a checkpoint, by its path."""
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(checkpoint / "model.weights.h5") as file:
        file.visititems(
            lambda name, item: (
                arrays.update({name: np.asarray(item)}) if isinstance(item, h5py.Dataset) else None
            )
        )
    with np.load(checkpoint / "training.npz", allow_pickle=False) as more:
        arrays |= {name: more[name] for name in more.files}
    return arrays


def last(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return max((run / "checkpoints").glob("step-*"))


def rows(run: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` but for what the clock says."""
    text = (run / "metrics.jsonl").read_text()
    clock = {"seconds", "images_per_second"}
    return [
        {name: value for name, value in json.loads(line).items() if name not in clock}
        for line in text.splitlines()
    ]


def differences(run: Path, other: Path) -> list[str]:
    """What two runs that ought to have ended alike differ in."""
    for each in (run, other):
        if not (each / "results.json").exists() or not any((each / "checkpoints").glob("step-*")):
            return [f"{each.name} has no checkpoint or no results"]
    found = []
    ours, theirs = weights(last(run)), weights(last(other))
    if last(run).name != last(other).name or ours.keys() != theirs.keys():
        found.append(f"last checkpoints {last(run).name} and {last(other).name}")
    else:
        found += [name for name in ours if ours[name].tobytes() != theirs[name].tobytes()]
    if rows(run) != rows(other):
        found.append("metrics.jsonl")
    metrics = [json.loads((r / "results.json").read_text()).get("metrics") for r in (run, other)]
    if metrics[0] != metrics[1]:
        found.append("metrics of results.json")
    left = [p.name for p in run.rglob("*") if p.name.endswith((".tmp", ".writing", ".rewound~"))]
    return found + [f"left over: {name}" for name in left]
