"""Full disks, closed pipes, closed terminals, folders that vanish."""

from __future__ import annotations

import functools
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.attack.trial import TRAINING, Outcome, Report, differences, invoke


def full_disks(report: Report, folder: Path, chance: random.Random, trials: int) -> None:
    """Lets the room end at any byte, then gives more and goes on."""
    if not report.judge(
        "undisturbed run", invoke("src.train", [*TRAINING, "run_dir=alone"], folder), {0}
    ):
        return
    size = sum(p.stat().st_size for p in (folder / "alone").rglob("*") if p.is_file())
    for _ in range(trials):
        run = folder / "disk" / "run"
        mounted, limit = _mount(folder / "disk", chance.randint(4096, 2 * size))
        options: dict[str, Any] = {}
        if not mounted:
            options["preexec_fn"] = functools.partial(_limit, limit // 4)
        what = f"{limit >> 10} KiB of {'a disk' if mounted else 'a file'}"
        words = [*TRAINING, "run_dir=disk/run"]
        outcome = invoke("src.train", words, folder, **options)
        report.judge(what, outcome, {0, 2})
        if outcome.status == 0:
            invoke("src.eval", ["run=disk/run"], folder, **options)
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=1G", folder / "disk"], check=True)
        begun = (run / "config.yaml").is_file() and (run / "config.yaml").stat().st_size
        if begun:
            again = ["resume=disk/run"]
        else:
            shutil.rmtree(run, ignore_errors=True)
            again = words
        report.judge(f"{what}, gone on", invoke("src.train", again, folder), {0})
        for difference in differences(run, folder / "alone"):
            report.expect(False, f"{what}: not as left alone: {difference}")
        if mounted:
            subprocess.run(["umount", folder / "disk"], check=True)
        shutil.rmtree(folder / "disk")
        report.count()


def _mount(folder: Path, size: int) -> tuple[bool, int]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    return done.returncode == 0, size


def _limit(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def closed_streams(report: Report, folder: Path, chance: random.Random, trials: int) -> None:
    """Closes what a command reads from and writes to, before it starts or after a line."""
    invoke("src.train", [*TRAINING, "run_dir=run"], folder)
    from PIL import Image

    (folder / "digits").mkdir()
    for number in range(5):
        Image.new("L", (28, 28)).save(folder / "digits" / f"{number}.png")
    commands = {
        "train": ("src.train", [*TRAINING, "run_dir=piped"]),
        "eval": ("src.eval", ["run=run"]),
        "describe": ("src.describe", ["model=lenet5"]),
        "predict": ("src.predict", ["run=run", "input=digits", "output=predicted"]),
        "help": ("src.train", ["--help"]),
    }
    ways = ["out", "err", "both", "full", "full err", "pipe", "in"]
    cases = [(name, way) for name in commands for way in ways]
    chance.shuffle(cases)
    for name, way in cases[:trials]:
        for made in ("piped", "predicted"):
            shutil.rmtree(folder / made, ignore_errors=True)
        outcome = _closed(*commands[name], folder, way)
        # Where nobody reads what a command is for, it may say so by its status.
        allowed = {0, 2, 75, 141, -signal.SIGPIPE} if name != "train" else {0}
        report.expect(outcome.status in allowed, f"{name}, {way}: status {outcome.status}")
        report.expect("Traceback" not in outcome.err, f"{name}, {way}: {outcome.err[-200:]}")
        report.expect("Exception" not in outcome.err, f"{name}, {way}: {outcome.err[-200:]}")
        if name == "train":
            left = differences(folder / "piped", folder / "run")
            report.expect(not left, f"{name}, {way}: {left}")
        if name == "predict":
            table = folder / "predicted" / "predictions.csv"
            lines = table.read_text().splitlines() if table.exists() else []
            report.expect(len(lines) == 6, f"predict, {way}: {len(lines)} of 6 lines written")
        report.count()


def _closed(module: str, words: list[str], folder: Path, way: str) -> Outcome:
    if way == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            return invoke(module, words, folder, stdout=pipe)
    if way.startswith("full"):
        with Path("/dev/full").open("wb") as full:
            where: dict[str, Any] = {"stderr" if way == "full err" else "stdout": full}
            return invoke(module, words, folder, **where)
    numbers = {"in": (0,), "out": (1,), "err": (2,), "both": (1, 2)}[way]
    return invoke(module, words, folder, preexec_fn=functools.partial(_close, numbers))


def _close(numbers: tuple[int, ...]) -> None:
    for number in numbers:
        os.close(number)


def vanishing_folders(report: Report, folder: Path, chance: random.Random, trials: int) -> None:
    """Removes or renames a run's folder while it trains: it ends, and nothing of it comes back."""
    words = [*TRAINING, "trainer.steps=100000", "trainer.epochs=100000"]
    for trial in range(trials):
        run = folder / f"vanishing-{trial}"
        wait, rename = chance.uniform(0.2, 4), chance.random() < 0.5

        def vanish(
            process: object, run: Path = run, wait: float = wait, rename: bool = rename
        ) -> None:
            deadline = time.monotonic() + 60
            while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(wait)
            if rename:
                run.rename(run.with_name(f"{run.name}-renamed"))
            else:
                # What is written meanwhile keeps the folder from going, and is removed again.
                for _ in range(5):
                    shutil.rmtree(run, ignore_errors=True)
                    time.sleep(0.2)

        outcome = invoke("src.train", [*words, f"run_dir={run.name}"], folder, until=vanish)
        what = f"{'renamed' if rename else 'removed'} after {wait:.2f} s"
        report.judge(what, outcome, {2})
        if not rename:
            report.expect(not run.exists() or not any(run.rglob("*")), f"{what}: came back in part")
        report.count()
