"""Train a model: `python -m src.train model=autoencoder`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # python src/train.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from src import (
    cli,
    cluster,
    config,
    files,
    multirun,
    preparation,
    results,
    resume,
    runs,
    signals,
)
from src.cluster import WorkerLost
from src.errors import UserError

_LOST = "stopped: another worker is gone (%s); resume=%s on all workers goes on"

if TYPE_CHECKING:
    from src.data.dataset import DataSet
    from src.experiment import Experiment
    from src.training.checkpoint import Checkpoint
    from src.training.strategies import Devices


def main(values: dict[str, Any], arguments: list[str]) -> int:
    """Trains what `values` describe, or goes on with a run; returns an exit status.

    Args:
        values: the composed configuration.
        arguments: the `key=value` arguments of the command line.
    """
    try:
        return _run(values, arguments)
    except WorkerLost as error:
        print(f"stopped: another worker is gone ({error}) before the run began", flush=True)
        return signals.STOPPED


def _run(values: dict[str, Any], arguments: list[str]) -> int:
    choice = {name: values.pop(name) for name in ("resume", "force", "config")}
    going_on = config.parse(config.Resume, choice)
    if going_on.resume is None and going_on.config is not None:
        own = config.load(Path(going_on.config)).model_copy(update={"run_dir": values["run_dir"]})
        return _begin(_with_sources(resume.merged(own, values, arguments, force=True)))
    if going_on.resume is None:
        return _begin(_with_sources(config.parse(config.Train, values)))
    if multirun.holds(going_on.resume):
        others = [
            argument
            for argument in arguments
            if argument.partition("=")[0] not in ("resume", "force")
        ]
        if others:
            raise UserError(f"expected resume= alone for several jobs; received {others[0]}")
        return multirun.go_on(Path(going_on.resume))
    folder = runs.find(going_on.resume, whole=True)
    own = config.load(folder / runs.CONFIG)
    settings = resume.merged(own, values, arguments, going_on.force)
    worker = cluster.joined(settings)
    with runs.locked(folder) if _writes(worker) else nullcontext():
        if resume.finished(folder, own, settings):
            print(f"{folder} is finished; a larger trainer.epochs= goes on with it")
            return 0
        return _go_on(folder, settings, worker)


def _writes(worker: cluster.Cluster | None) -> bool:
    """Whether this process is the one of its run that writes."""
    return worker is None or worker.index == 0


def _with_sources(settings: config.Train) -> config.Train:
    """Finds the run and the file that a new run's weights begin with.

    Raises:
        UserError: there is no such file, or no such run of the same model.
    """
    model = settings.model
    weights = getattr(model, "weights", None)
    if weights is not None:
        runs.check_weights(weights, model.named_weights)
    if model.init_from is None:
        return settings
    try:
        folder = runs.find(model.init_from).resolve()
        other = config.load(folder / runs.CONFIG).model
    except UserError as error:
        raise UserError(f"model.init_from: {error}") from error
    if model.family != other.family or not any(folder.glob("checkpoints/step-*")):
        family = " with ".join(f"{key}={value}" for key, value in model.family.items())
        raise UserError(
            f"expected model.init_from to be a trained run of {family}; received {folder}"
        )
    model = model.model_copy(update={"init_from": str(folder)})
    return settings.model_copy(update={"model": model})


def _begin(settings: config.Train) -> int:
    """Trains in a new folder."""
    worker = cluster.joined(settings)
    if _writes(worker):
        runs.check_free(settings.run_dir)
    settings, data, devices = preparation.ready(settings, worker)
    if not devices.chief:
        return _follow(settings, data, devices)
    from src.models.build import fetch_weights

    # A download that fails leaves no folder without a run.
    fetch_weights(settings.model)
    folder = runs.create(settings.model.name, settings.run_dir)
    with runs.locked(folder):
        return _train(settings, folder, data, devices, None, [])


def _go_on(folder: Path, settings: config.Train, worker: cluster.Cluster | None) -> int:
    """Trains on from a run's last checkpoint."""
    settings, data, devices = preparation.ready(settings, worker)
    if not devices.chief:
        return _follow(settings, data, devices)
    from src import experiment

    experiment.check_own_data(folder, data, *data.splits)
    with runs.writing(folder):
        checkpoint, damages = experiment.last_checkpoint(folder)
    return _train(settings, folder, data, devices, checkpoint, damages)


def _train(
    settings: config.Train,
    folder: Path,
    data: DataSet,
    devices: Devices,
    checkpoint: Checkpoint | None,
    damages: list[str],
) -> int:
    """Trains and evaluates, from a checkpoint on if there is one."""
    from src import evolution, experiment
    from src.experiment import evaluation, training
    from src.training import strategies
    from src.training.output import log, log_to

    try:
        with runs.writing(folder), strategies.noticing_losses(devices):
            files.write(folder / runs.CONFIG, config.dump(settings))
            log_to(folder / "train.log")
            if data.notice:
                log.warning(data.notice)
            for damage in damages:
                log.warning("passing over and setting aside the checkpoint %s", damage)
            log.info("%s on %s (%s), in %s", settings.model.name, data.name, data.source, folder)
            if checkpoint:
                log.info("going on from step %d", checkpoint.step)
            step = checkpoint.step if checkpoint else None
            devices.exchange({"folder": str(folder.absolute()), "step": step})
            run = experiment.Experiment(settings, folder, data, devices)
            if not training.train(run, checkpoint, evolution.callbacks):
                log.info("stopped and saved; python -m src.train resume=%s goes on", folder)
                return signals.STOPPED
            if results.read(folder).status == "pruned":
                log.info("pruned; python -m src.train resume=%s goes on with it", folder)
                return 0
            if devices.strategy:
                # One device evaluates, and the other workers are done.
                run = experiment.Experiment(settings, folder, data)
            for split in ("val", "test"):
                found = evaluation.evaluate(run, "best", split)
                log.info("%s", cli.report(f"best, {split}", found.scores))
                evaluation.record(run, found)
            _tell_what_next(run, found.step)
    except signals.Asked:
        # Before the first step or after the last: nothing is lost, and `resume=` goes on.
        log.info("stopped; python -m src.train resume=%s goes on", folder)
        return signals.STOPPED
    except WorkerLost as error:
        log.info(_LOST, error, folder)
        return signals.STOPPED
    return 0


def _follow(settings: config.Train, data: DataSet, devices: Devices) -> int:
    """Trains beside the chief, on another worker: writes nothing."""
    from src import experiment
    from src.experiment import training
    from src.training import strategies
    from src.training.output import log, log_to

    log_to(None)
    with strategies.noticing_losses(devices):
        chief, *_ = devices.exchange({})
    folder = Path(chief["folder"])
    try:
        with strategies.noticing_losses(devices):
            checkpoint = experiment.checkpoint_of(folder, chief["step"])
            log.info("worker %d of %d, in %s", devices.worker, devices.workers, folder)
            run = experiment.Experiment(settings, folder, data, devices)
            if not training.follow(run, checkpoint):
                log.info("stopped with the others; resume=%s on all of them goes on", folder)
                return signals.STOPPED
    except signals.Asked:
        log.info("stopped; resume=%s on all workers goes on", folder)
        return signals.STOPPED
    except WorkerLost as error:
        log.info(_LOST, error, folder)
        return signals.STOPPED
    return 0


def _tell_what_next(run: Experiment, step: int) -> None:
    """Says which epoch the best is of, where the pictures are, and what uses them."""
    from src.experiment import plan_of
    from src.training.output import log

    plan = plan_of(run.settings, run.data)
    log.info(
        "the best is epoch %d; pictures in %s",
        -(-step // plan.steps_per_epoch),
        run.folder / "figures",
    )
    log.info("python -m src.predict run=%s input=<picture> uses it", run.folder)


if __name__ == "__main__":
    cli.run("train", main, config.Train, config.Resume)
