"""Several runs by one command, each in a process of its own: a job is what it would be alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from src import results, runs, signals
from src.errors import UserError
from src.words import CONFIGS

_STOPPED = (75, signals.ENDED_AT_ONCE)
_ENDINGS = {0: "done", 2: "a mistake", 75: "stopped", signals.ENDED_AT_ONCE: "ended at once"}
_MOST_NAME = 180  # In bytes: a folder's name may have 255.


def run(config_name: str, jobs: list[tuple[str, list[str]]]) -> int:
    """Runs one job after another, and prints a table of what came of them.

    Args:
        config_name: the command.
        jobs: what tells each from the others, and its settings.

    Returns:
        The status of the last job that failed, or that was stopped, which ends the others, too.
    """
    status, table = 0, []
    for number, (name, settings) in enumerate(jobs, 1):
        folder = None
        if config_name == "train" and not any(word.startswith("resume=") for word in settings):
            folder = _folder(settings, number, name)
            settings = [word for word in settings if not word.startswith("run_dir=")]
            quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
            settings.append(f"run_dir='{quoted}'")
        print(f"job {number}/{len(jobs)}: {name or 'as it is'}", flush=True)
        ended = _run_job(config_name, settings)
        status = ended or status
        table.append((name, _ENDINGS.get(ended, f"status {ended}"), *_reached(folder)))
        if ended in _STOPPED:
            break
    if config_name == "train" and any(row[1] != "a mistake" for row in table):
        _print_table(table)
    return status


_begun = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def _folder(settings: list[str], number: int, name: str) -> Path:
    """Where a job's run goes: a folder named after what tells it from the others."""
    own = [word.partition("=")[2] for word in settings if word.startswith("run_dir=")]
    parent = runs.OUTPUTS / f"multirun_{_begun}"
    if own and own[-1] != "null":
        text = own[-1]
        quote = text[:1]
        if quote in ("'", '"') and text.endswith(quote):
            text = text[1:-1].replace(f"\\{quote}", quote).replace("\\\\", "\\")
        parent = Path(text)
    safe = re.sub(r"[^\w.,=+-]+", "_", re.sub(r"run_dir=[^,]*,?", "", name)).strip("._,")
    clipped = safe.encode()[:_MOST_NAME].decode(errors="ignore")
    return parent / (clipped if clipped == safe and safe else f"{number}_{clipped}".strip("_"))


def _run_job(config_name: str, settings: list[str]) -> int:
    """Runs a job to its end; hands it the signals that ask this process to end."""
    path = os.pathsep.join(filter(None, (str(CONFIGS.parent), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", f"src.{config_name}", *settings]
    # In a group of its own: what a terminal sends to all would reach it twice.
    job = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, process_group=0)

    def hand_on(count: int, number: int) -> None:
        job.send_signal(signal.Signals(number))

    with signals.answered(hand_on):
        try:
            ended = job.wait()
        finally:
            if job.poll() is None:
                job.terminate()
    return ended if ended >= 0 else 128 - ended


def _reached(folder: Path | None) -> tuple[str, str]:
    """What a run's results say of its validation and test, as a line each."""
    if folder is None:
        return "", ""
    try:
        metrics = results.read(folder).metrics
    except UserError:
        return "", ""
    return _scores(metrics.get("val", {})), _scores(metrics.get("test", {}))


def _scores(scores: results.Scores) -> str:
    shown = [f"{name} {value:.4g}" for name, value in scores.items() if value is not None]
    return "  ".join(shown)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    lines = [("job", "", "validation", "test"), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)).rstrip())
