"""What several runs have come to, side by side: their settings, metrics and curves.

Runs that differ by their seed only are one line: the mean and the standard deviation of their
metrics. Runs of different tasks have no metric in common, and so tables of their own.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src import config, epochs, figures, files, results, runs
from src.config.model import WATCHED, Mode, TaskName
from src.errors import UserError
from src.figures.curves import Line, Panel, line_colours

SPLITS = ("val", "test")
# More curves than this are none; of runs, more than this are no comparison.
_MOST_CURVES, _MOST_RUNS = 20, 1000
# What does not make two runs different experiments.
_ASIDE = ("seed", "run_dir")


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: the run's.
        task: of its model.
        settings: by key, such as `optimizer.name`; its seed and its folder are left out.
        scores: by split and metric, of its best checkpoint.
        rows: its epochs.
        status: `running`, `interrupted` or `finished`; None if it has not begun.
        digest: of its data; None if it has not begun.
    """

    folder: Path
    task: TaskName
    settings: dict[str, Any]
    scores: dict[str, results.Scores]
    rows: list[epochs.Row]
    status: results.Status | None
    digest: str | None

    @property
    def watched(self) -> tuple[str, Mode]:
        """The metric that decides which checkpoint is the best, and what is better."""
        return WATCHED[self.task]


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ by their seed only.

    Attributes:
        settings: those that tell it from the other groups.
        runs: one or more.
    """

    settings: dict[str, Any]
    runs: list[Run]

    @property
    def label(self) -> str:
        """Its settings as they would be typed."""
        short = shortened(self.settings)
        arguments = [f"{short[key]}={shown(value)}" for key, value in self.settings.items()]
        return " ".join(arguments) or shown(self.runs[0].settings["model.name"])

    def score(self, split: str, metric: str) -> tuple[float, float | None] | None:
        """Mean and standard deviation over the runs; no deviation of one, None of none."""
        found = [run.scores.get(split, {}).get(metric) for run in self.runs]
        known = [score for score in found if score is not None]
        if not known:
            return None
        return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None


def find(where: Iterable[str]) -> list[Path]:
    """The folders of runs, and of the runs below folders that are none themselves.

    Raises:
        UserError: there is no run, or there are too many.
    """
    found: dict[Path, Path] = {}
    for name in where:
        own = name == "latest" or os.path.lexists(Path(name) / runs.CONFIG)
        for folder in [runs.find(name)] if own else _below(Path(name)):
            found.setdefault(folder.resolve(), folder)
    if len(found) > _MOST_RUNS:
        raise UserError(f"expected {_MOST_RUNS} runs at most; received {len(found)}")
    return list(found.values())


def _below(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        if runs.CONFIG in names:
            folders.clear()
            found.append(Path(parent))
        # The jobs of a multirun are numbered.
        folders.sort(key=lambda name: (not name.isdecimal(), len(name) * name.isdecimal(), name))
        if len(found) > _MOST_RUNS:
            break
    if not found:
        what = "a run's folder, or one with runs in it" if os.path.exists(folder) else "a folder"
        raise UserError(f"expected {what}; received {files.clipped(folder)}")
    return [runs.find(str(path)) for path in found]


def read(folder: Path) -> Run:
    """Reads a run, which may be a stranger's.

    Raises:
        UserError: one of its files holds something else than it should.
    """
    settings = config.load(folder / runs.CONFIG)
    reached = results.read(folder)
    rows, _ = epochs.read(folder / runs.METRICS)
    task = settings.model.task
    scores = {split: reached.metrics.get(split, {}) for split in SPLITS}
    best = epochs.best(rows, *WATCHED[task])
    if best and not scores["val"]:
        scores["val"] = {
            name.removeprefix("val_"): score for name, score in best.items() if name[:4] == "val_"
        }
    values = config.flat(settings.model_dump(mode="json", exclude=set(_ASIDE)))
    digest = reached.data.digest if reached.data else None
    return Run(folder, task, values, scores, rows, reached.status, digest)


def groups(compared: Sequence[Run]) -> list[Group]:
    """Puts runs together that differ by their seed only; the best of a task first.

    Args:
        compared: runs of one task.
    """
    settings = [_with_digest(run, compared) for run in compared]
    keys = dict.fromkeys(key for values in settings for key in values)
    differ = [key for key in keys if len({repr(values.get(key)) for values in settings}) > 1]
    found: dict[str, Group] = {}
    for run, values in zip(compared, settings, strict=True):
        own = {key: values.get(key) for key in differ}
        found.setdefault(repr(own), Group(own, [])).runs.append(run)

    def rank(group: Group) -> float:
        watched, mode = group.runs[0].watched
        score = group.score("val", watched)
        return math.inf if score is None else score[0] if mode == "min" else -score[0]

    return sorted(found.values(), key=rank)


def metrics(compared: Sequence[Group]) -> list[str]:
    """The names of the metrics, the watched one first and the loss, unless it is the same, last."""
    watched, _ = compared[0].runs[0].watched
    all_scores = [scores for g in compared for run in g.runs for scores in run.scores.values()]
    names = {name: None for scores in all_scores for name in scores if name.isidentifier()}
    pairs = [(scores.get("loss"), scores.get(watched)) for scores in all_scores]
    same = all(np.isclose(a or 0, b or 0, rtol=1e-4) for a, b in pairs)
    others = [name for name in sorted(names) if name not in (watched, "loss")]
    return [watched, *others[:10], *(["loss"] if "loss" in names and not same else [])]


def picture(tasks: Sequence[Sequence[Group]]) -> figures.Picture:
    """Validation over the epochs: the mean of each group, and the deviation of its runs."""
    panels = []
    colours = iter(line_colours(sum(map(len, tasks))))
    for compared in tasks:
        watched, mode = compared[0].runs[0].watched
        best = dict(zip(compared[:_MOST_CURVES], colours, strict=False))
        of = f" ({compared[0].runs[0].task})" if len(tasks) > 1 else ""
        note = f"best {len(best)} of {len(compared)}" if len(best) < len(compared) else ""
        for metric in (["loss"] if "loss" in metrics(compared) else []) + [watched]:
            lines = [_line(group, f"val_{metric}", colour) for group, colour in best.items()]
            # Metrics that should rise are shares, of which 1 is the most.
            most = 1 if metric == watched and mode == "max" else math.inf
            panels.append(Panel(f"val {metric}{of}", lines, note, most=most))
    return figures.curves(panels)


def _line(group: Group, metric: str, colour: tuple[int, int, int]) -> Line:
    at: dict[float, list[float]] = {}
    for run in group.runs:
        for row in run.rows:
            if (epoch := row.get("epoch")) is not None:
                value = row.get(metric)
                at.setdefault(epoch, []).append(math.nan if value is None else value)
    x = sorted(at)
    mean = [statistics.fmean(at[epoch]) for epoch in x]
    several = len(group.runs) > 1
    spread = [_deviation(at[epoch]) for epoch in x] if several else None
    label = f"{group.label} ({len(group.runs)} runs)" if several else group.label
    return Line(
        files.clipped(label, 80),
        np.array(x, float),
        np.array(mean, float),
        colour,
        spread=None if spread is None else np.array(spread, float),
    )


def _deviation(values: list[float]) -> float:
    with np.errstate(all="ignore"):
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def shortened(keys: Iterable[str]) -> dict[str, str]:
    """The last part of each key, or all of it where two end alike; `model` for `model.name`."""
    plain = {key: key.removesuffix(".name") for key in keys}
    ends = [key.rpartition(".")[2] for key in plain.values()]
    return {
        key: end if ends.count(end) == 1 else name
        for (key, name), end in zip(plain.items(), ends, strict=True)
    }


def shown(value: Any) -> str:
    """A setting for the screen, where nothing that a stranger wrote moves the cursor."""
    text = "null" if value is None else str(value).lower() if value is True else str(value)
    return files.clipped("".join(c if c.isprintable() else "?" for c in text), 40)


def _with_digest(run: Run, compared: Sequence[Run]) -> dict[str, Any]:
    """A run's settings, with its data's digest where equal settings found other data."""

    def data(run: Run) -> dict[str, Any]:
        return {key: value for key, value in run.settings.items() if key.startswith("data.")}

    others = {other.digest for other in compared if data(other) == data(run)} - {None}
    digest = {"data.digest": (run.digest or "?")[:8]} if len(others) > 1 else {}
    return run.settings | digest
