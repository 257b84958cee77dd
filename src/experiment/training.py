"""Trains a run, from its beginning or from a checkpoint on."""

from __future__ import annotations

import functools
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tqdm.contrib.logging import logging_redirect_tqdm

from src import config, results
from src.data import pipeline
from src.experiment import Experiment, plan_of
from src.training import callbacks, history, optimizers, output, summaries
from src.training.checkpoint import Checkpoint
from src.training.curves import CurvesLogger
from src.training.distributed import DistributedModel
from src.training.plan import Plan
from src.training.pruning import Pruning
from src.training.saver import Follower, Interrupted, Progress, Saver
from src.training.warm_start import warm_start

# One call into TensorFlow trains about this many pixels, some tenths of a second: Ctrl-C and the
# progress bar wait no longer, and the cost of the call does not count.
_PIXELS_PER_CALL = 2500 * 28 * 28

Rows = list[dict[str, Any]]
Choice = Callable[[Experiment, Plan, int, Rows, Saver], list[keras.callbacks.Callback]]


def train(run: Experiment, checkpoint: Checkpoint | None, choose: Choice | None = None) -> bool:
    """Trains as planned and writes `results.json`.

    Args:
        run: what is trained.
        checkpoint: where to go on from; None to begin.
        choose: the callbacks; `callback_list` if None.

    Returns:
        False if the run was asked to stop before its end.

    Raises:
        OSError: something cannot be written.
        UserError: the loss is not finite, or the checkpoint is another model's.
    """
    plan = plan_of(run.settings, run.data)
    step = checkpoint.step if checkpoint else 0
    _compile(run, plan, step)
    saver = Saver(run.checkpoints, plan, _progress(run))
    _start(run, saver, checkpoint)
    rows = history.rewind(run.folder, step)
    if not step:
        _write_start(run)
    chosen = (choose or callback_list)(run, plan, step, rows, saver)
    earlier = results.read(run.folder).seconds
    with results.changing(run.folder) as current:
        current.forget(step)
    _record(run, rows, saver.progress.best_step, "running", earlier)
    begun = time.perf_counter()
    redirected = logging_redirect_tqdm([output.log])
    with redirected, saver.handling_signals(), pipeline.graph_errors():
        finished = _fit(run, plan, step, saver, chosen)
    seconds = round(earlier + time.perf_counter() - begun, 3)
    status: results.Status = "finished" if finished else "interrupted"
    if saver.progress.pruned:
        status = "pruned"
    _record(run, rows, saver.progress.best_step, status, seconds)
    return finished


def follow(run: Experiment, checkpoint: Checkpoint | None) -> bool:
    """Trains beside the chief, on another worker, and writes nothing.

    Args:
        run: what is trained.
        checkpoint: where the chief goes on from; None to begin.

    Returns:
        False if a worker was asked to stop before the end.

    Raises:
        UserError: as for `train`.
    """
    plan = plan_of(run.settings, run.data)
    step = checkpoint.step if checkpoint else 0
    _compile(run, plan, step)
    saver = Follower(run.checkpoints, plan, _progress(run))
    _start(run, saver, checkpoint)
    with saver.handling_signals(), pipeline.graph_errors():
        return _fit(
            run, plan, step, saver, [callbacks.SwapAverages(), callbacks.FiniteLoss(), saver]
        )


def _start(run: Experiment, saver: Saver, checkpoint: Checkpoint | None) -> None:
    """Gives the model what it begins or goes on with."""
    saver.set_model(run.model)
    if checkpoint:
        saver.resume(checkpoint)
    else:
        warm_start(run.model, run.settings.model)
    if isinstance(run.model, DistributedModel):
        run.model.part_seeds()


def _write_start(run: Experiment) -> None:
    """What TensorBoard shows of a run beside its curves."""
    settings, data = run.settings, run.data
    about = f"{data.name}: {data.source}, SHA-256 `{data.digest}`"
    command = ["python", "-m", "src.train", *sys.argv[1:]]
    compared = config.flat(settings.model_dump(mode="json", exclude={"run_dir"}))
    run.events.write_start(
        run.model.network(),
        summaries.texts(run.model, config.dump(settings), command, about),
        [
            summaries.settings(compared, "/".join(run.folder.absolute().parts[-2:])),
            summaries.layout(run.task.watched),
        ],
    )


def _compile(run: Experiment, plan: Plan, step: int, entering: bool = False) -> None:
    """Makes the model ready to train on from a step, fine-tuning from where that begins."""
    height, width, _ = run.data.splits["train"].training_shape
    most = max(1, _PIXELS_PER_CALL // (plan.batch_size * height * width))
    settings, first, last = run.settings.optimizer, 0, plan.fine_tuning or plan.steps
    if tuning := run.settings.model.fine_tuning:
        # A checkpoint at that step itself is of what was trained before it.
        tunes = entering or plan.tunes(step - 1)
        run.on_features = not tunes
        run.model.freeze(run.on_features)
        if tunes:
            settings = settings.model_copy(update={"learning_rate": tuning.learning_rate})
            # A step takes so long that a call's cost does not count, whatever a picture measures.
            first, last, most = last, plan.steps, 1
    with run.devices.scope():
        optimizer = optimizers.build(settings, last, plan.steps_per_epoch, first)
        optimizer.build(run.model.trainable_variables)
    run.compile(run.model, optimizer, steps_per_execution=plan.steps_per_call(most, step))


def _progress(run: Experiment) -> Progress:
    optimizer = run.settings.optimizer
    plateau = optimizer.plateau_epochs if optimizer.schedule == "plateau" else None
    return Progress(run.task, run.settings.trainer.patience, plateau, optimizer.decay)


def callback_list(
    run: Experiment, plan: Plan, step: int, rows: Rows, saver: Saver
) -> list[keras.callbacks.Callback]:
    """What happens around the steps, in the order in which Keras calls it.

    The averages are put in the place of the weights before anything evaluates. An epoch's line is
    on the disk before the checkpoint that knows of it, so that a resumed run finds every line that
    it counts on; the pictures likewise. The saver comes after both, and may end the run.
    """
    examples, inputs = run.examples("val")
    return [
        callbacks.SwapAverages(),
        callbacks.MetricsLogger(run.folder, plan, rows, run.task, run.events),
        CurvesLogger(run.folder, rows, run.task.watched, run.task.mode),
        callbacks.FigureLogger(run.task, examples, inputs, run.events),
        Pruning(saver.progress),
        saver,
        callbacks.ProgressBar(plan, step, run.task.watched),
    ]


def _fit(
    run: Experiment,
    plan: Plan,
    step: int,
    saver: Saver,
    chosen: list[keras.callbacks.Callback],
) -> bool:
    """Calls `fit` for each part of the run; returns whether the run came to its end."""
    preprocess, noise, seed = run.task.preprocess, run.noise, run.settings.seed
    devices, steps = run.devices, plan.steps_per_epoch
    try:
        for first, last in plan.fits(step):
            if saver.progress.done:
                break
            if first == plan.fine_tuning:
                output.log.info("fine-tuning from epoch %d on", first // steps + 1)
                _compile(run, plan, first, entering=True)
            if first in (step, plan.fine_tuning):
                train, val = run.part("train"), run.part("val")
                validation = devices.batches(
                    functools.partial(pipeline.evaluation_batches, val, preprocess, noise)
                )
                rounds = (
                    pipeline.evaluation_rounds(val, devices.share) if devices.strategy else None
                )
            epoch, length = first // steps, min(last - first, steps)
            run.model.fit(
                devices.batches(
                    functools.partial(
                        pipeline.training_batches,
                        *(train, preprocess, plan.batch_size, seed, first, last, noise),
                    )
                ),
                initial_epoch=epoch,
                epochs=epoch + (last - first) // length,
                steps_per_epoch=length,
                shuffle=False,
                validation_data=validation,
                validation_steps=rounds,
                callbacks=chosen,
                verbose=0,
            )
    except Interrupted:
        return False
    return True


def _record(
    run: Experiment, rows: Rows, best_step: int | None, status: results.Status, seconds: float
) -> None:
    """Writes what the training has come to; the evaluations are added to it.

    Only what the best checkpoint reaches stays of what others have added, as `src.eval` beside it.
    """
    best = next((row for row in rows if row["step"] == best_step), {})
    speeds = [row["images_per_second"] for row in rows if row.get("images_per_second")]
    names = [name for name in best if f"val_{name}" in best]
    data, trainer = run.data, run.settings.trainer
    facts = results.DataFacts(
        name=data.name,
        source=data.source,
        digest=data.digest,
        kind=data.kind,
        image_shape=list(run.model.input_shape[1:]),
        classes=list(data.classes),
        colours=None if data.colours is None else [list(colour) for colour in data.colours],
        void=data.void,
        digests=dict(data.digests),
    )
    with results.changing(run.folder) as current:
        current.model, current.status, current.data = run.settings.model.name, status, facts
        current.class_weights = list(run.class_weights) if run.class_weights else None
        current.class_weights_power = trainer.class_weights_power
        current.seed, current.seconds = run.settings.seed, seconds
        current.parameters = run.model.count_params()
        current.steps = int(run.model.optimizer.iterations.numpy())
        current.images_per_second = statistics.median(speeds) if speeds else None
        current.precision, current.shards = trainer.precision, trainer.shards
        current.versions = {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        trained = {"train": {name: best[name] for name in names}}
        current.metrics = trained | current.of_best(best_step)
