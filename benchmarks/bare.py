"""The training of this project and nothing else: no validation, pictures, checkpoints or test.

    python -m benchmarks.bare model=lenet5 trainer.steps=1100

Takes the arguments of `src.train`. What a run writes is what a peer leaves out; with the same work
the rest of a process shows. Prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import contest


def train(arguments: list[str]) -> dict[str, object]:
    """Trains as many epochs as are asked for, of which the last one counts."""
    from src import preparation

    settings, data, _ = preparation.ready(contest.composed(*arguments), None)
    from src import experiment
    from src.data import pipeline
    from src.training import optimizers

    with tempfile.TemporaryDirectory() as folder:
        run = experiment.Experiment(settings, Path(folder), data)
    plan = experiment.plan_of(settings, data)
    run.model.compile(
        optimizers.build(settings.optimizer, plan.steps, plan.steps_per_epoch),
        loss=run.task.loss,
        steps_per_execution=plan.steps_per_call(50),
    )
    batch, steps = plan.batch_size, plan.steps_per_epoch
    batches = pipeline.training_batches(
        data.splits["train"], run.task.preprocess, batch, settings.seed, 0, plan.steps
    )
    seconds = []
    for _ in range(plan.epochs):
        begun = time.perf_counter()
        run.model.fit(batches, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
        seconds.append(time.perf_counter() - begun)
    return {
        "images_per_second": steps * batch / seconds[-1],
        "parameters": run.model.count_params(),
        "precision": settings.trainer.precision,
    }


if __name__ == "__main__":
    print(json.dumps(train(sys.argv[1:])))
