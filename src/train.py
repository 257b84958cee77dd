"""Train a model: `python -m src.train model=autoencoder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src import cli, config, quiet, resume, runs
from src.data import sources
from src.errors import UserError


def main(values: dict[str, Any], words: list[str]) -> int:
    """Trains what `values` describe, or goes on with a run; returns an exit status.

    Args:
        values: the composed configuration.
        words: the `key=value` words of the command line.
    """
    choice = {name: values.pop(name) for name in ("resume", "force")}
    going_on = config.parse(config.Resume, choice)
    folder = None
    if going_on.resume is not None:
        folder = runs.find(going_on.resume)
        settings = resume.merged(folder, values, words, going_on.force)
        if resume.finished(folder, settings):
            print(f"{folder} is finished; a larger trainer.epochs= goes on with it")
            return 0
    else:
        settings = config.parse(config.Train, values)
        runs.check_free(settings.run_dir)
    try:
        return _train(settings, folder)
    except OSError as error:
        where = error.filename or folder or settings.run_dir or runs.OUTPUTS
        raise UserError(
            f"expected to write to {where}; received {error.strerror or error}"
        ) from error


def _train(settings: config.Train, folder: Path | None) -> int:
    """Trains and evaluates, in a new folder if there is none yet."""
    data = sources.load(settings.data)
    # TensorFlow takes seconds to import: not before the words above are known to be right.
    quiet.tensorflow()
    from src import experiment
    from src.training.output import log, log_to

    settings = experiment.resolved(settings)
    checkpoint = None
    damages: list[str] = []
    if folder is None:
        folder = runs.create(settings.model.name, settings.run_dir)
    else:
        experiment.check_own_data(folder, data)
        checkpoint, damages = experiment.last_checkpoint(folder)
    with runs.locked(folder):
        runs.write(folder / runs.CONFIG, config.dump(settings))
        log_to(folder / "train.log")
        if data.notice:
            log.warning(data.notice)
        for damage in damages:
            log.warning("passing over the checkpoint %s", damage)
        log.info("%s on %s (%s), in %s", settings.model.name, data.name, data.source, folder)
        if checkpoint:
            log.info("going on from step %d", checkpoint.step)
        run = experiment.Experiment(settings, folder, data)
        if not run.train(checkpoint):
            log.info("stopped and saved; python -m src.train resume=%s goes on", folder)
            return cli.STOPPED
        for split in ("val", "test"):
            log.info("%s", cli.report(f"best, {split}", run.evaluate("best", split)))
    return 0


if __name__ == "__main__":
    cli.run("train", main)
