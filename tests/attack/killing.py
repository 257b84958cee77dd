"""Kills at every place where a run touches its folder, and what becomes of the run afterwards."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.attack.trial import TRAINING, Report, differences, invoke

# Python tells its audit hooks of each file that is opened for writing, renamed, made or removed:
# the places at which a kill can leave something half done.
HOOK = """
import os, sys
_count = 0
def _watch(event, arguments):
    global _count
    if event == "open":
        path, mode, flags = arguments
        if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            return
    elif event not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"):
        return
    else:
        path = arguments[0]
    if "victim" not in str(path):
        return
    _count += 1
    if _count == {at}:
        os.kill(os.getpid(), {signal})
    if {at} < 0:
        with open(os.environ["COUNTED"], "a") as file:
            file.write(".")
sys.addaudithook(_watch)
"""


def attack(report: Report, folder: Path, chance: random.Random, trials: int) -> None:
    """Kills training runs at random places, resumes them, and compares with one left alone."""
    alone = folder / "alone"
    outcome = invoke("src.train", [*TRAINING, "run_dir=alone"], folder)
    if not report.judge("undisturbed run", outcome, {0}):
        return
    places = _count(folder)
    report.expect(places > 30, f"only {places} places found at which a run writes")
    for trial in range(trials):
        shutil.rmtree(folder / "victim", ignore_errors=True)
        kills = chance.choice([1, 1, 2, 3])
        words, happened = [*TRAINING, "run_dir=victim"], []
        for _ in range(kills):
            at = chance.randint(1, places)
            number = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
            hook = HOOK.format(at=at, signal=int(number))
            outcome = invoke("src.train", words, folder, hook=hook)
            happened.append(f"{number.name} at {at}")
            what = f"trial {trial}, {', '.join(happened)}"
            allowed = {0, 75, 130} | ({-signal.SIGKILL} if number == signal.SIGKILL else set())
            report.judge(what, outcome, allowed)
            # Before its configuration is written a run has not begun.
            if (folder / "victim" / "config.yaml").exists():
                words = ["resume=victim"]
        report.judge(f"{what}, gone on", invoke("src.train", words, folder), {0})
        for difference in differences(folder / "victim", alone):
            report.expect(False, f"{what}: not as left alone: {difference}")
        for doubled in _doubled(folder / "victim"):
            report.expect(False, f"{what}: {doubled} twice in TensorBoard")
        report.count()


def _count(folder: Path) -> int:
    """At how many places a run touches its folder."""
    counted = folder / "counted"
    counted.touch()
    hook = HOOK.format(at=-1, signal=0)
    words = [*TRAINING, "run_dir=victim"]
    invoke("src.train", words, folder, hook=hook, env={"COUNTED": str(counted)})
    return counted.stat().st_size


def _doubled(run: Path) -> list[str]:
    """Tags of which TensorBoard shows one step more than once."""
    found = []
    board = run / "tensorboard"
    events = EventAccumulator(str(board), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    for tag in events.Tags()["tensors"]:
        steps = [event.step for event in events.Tensors(tag)]
        if len(steps) != len(set(steps)):
            found.append(tag)
    return found
