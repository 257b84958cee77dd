"""Evaluate a run from its own folder: `python -m src.eval run=latest`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if not __package__:  # python src/eval.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from src import cli, config, machine, quiet, runs
from src.data import sources


def main(values: dict[str, Any], arguments: list[str]) -> int:
    """Evaluates the run that `values` name; returns an exit status."""
    del arguments
    settings = config.parse(config.Eval, values)
    folder = runs.find(settings.run)
    trained = config.load(folder / runs.CONFIG)
    settings.check_fits(trained)
    chosen = settings.data or trained.data
    machine.share_threads(trained)
    data = sources.load(chosen)
    # TensorFlow takes seconds to import: not before the settings above are known to be right.
    quiet.tensorflow()
    from src import experiment
    from src.experiment import evaluation
    from src.models.build import expect_memory

    if settings.data is not None:
        experiment.check_form(folder, data, trained.model.any_size)
    if data.notice:
        print(data.notice, file=sys.stderr)
    expect_memory(trained.model, experiment.input_shape(trained, data), len(data.classes))
    run = experiment.Experiment(trained, folder, data)
    own = chosen == trained.data
    found = evaluation.evaluate(run, settings.checkpoint, settings.split, own, settings.tsne)
    what = f"{folder}, {settings.checkpoint}, {settings.split} of {data.name}"
    print(cli.report(what, found.scores), flush=True)
    # Whoever has only a disk that is full, or may not write there, has the scores all the same.
    with runs.writing(folder):
        evaluation.record(run, found)
    return 0


if __name__ == "__main__":
    cli.run("eval", main, config.Eval)
