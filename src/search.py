r"""Search for settings: `python -m src.search model=autoencoder search.space=... search.trials=40`.

  python -m src.search model=autoencoder search.trials=40 \
      'search.space={optimizer.learning_rate: [1e-4, 1e-2, log], model.latent: [8, 16, 32]}'
  python -m src.search resume=outputs/search/<time>
  python -m src.train config=outputs/search/<time>/best.yaml

Each trial is a run of its own in the study's folder. resume= goes on with a study, also beside
other processes that work on it; a run that was killed goes on where it was.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

if not __package__:  # python src/search.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from src import children, cli, config, epochs, files, overrides, results, runs, signals
from src.config.keys import keys
from src.config.model import WATCHED, TaskName
from src.config.search import SearchOptions, is_range
from src.errors import UserError
from src.tables import aligned

if TYPE_CHECKING:
    import optuna

RECORD = "search.json"
_ATTEMPTS = 3
_NOT_A_RUN_S = ("search.", "resume=", "run_dir=", "force=", "config=")


class _Record(BaseModel):
    """A study as it is written down; where it is kept besides is not, as it may hold a password.

    Attributes:
        settings: the `key=value` arguments that all its runs have.
        search: its options.
        task: of its models.
        elsewhere: whether it is kept in `search.storage=`.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    settings: list[children.Setting]
    search: SearchOptions
    task: TaskName
    elsewhere: bool


def main(values: dict[str, Any], said: list[str]) -> int:
    """Works on a study until it has all its trials; returns an exit status.

    Args:
        values: the composed configuration.
        said: the `key=value` arguments of the command line.
    """
    asked = config.parse(config.Search, {name: values.pop(name) for name in ("search", "resume")})
    for name in ("force", "config"):
        del values[name]
    if asked.resume is None:
        folder, record = _begin(values, asked.search, said)
    else:
        folder = Path(asked.resume)
        record = _read(folder, asked.search, said)
    try:
        ended = _work(folder, record)
    except signals.Asked:
        ended = signals.STOPPED
    if ended in signals.STOPS:
        print(f"stopped; python -m src.search resume={folder} goes on")
    return ended


def _begin(values: dict[str, Any], options: SearchOptions, said: list[str]) -> tuple[Path, _Record]:
    """Checks a new study and makes its folder."""
    settings = config.parse(config.Train, values)
    if not options.space:
        raise UserError("expected search.space={key: [low, high, log], ...}; received none")
    own = [argument for argument in said if not argument.startswith(_NOT_A_RUN_S)]
    for key, choices in options.space.items():
        if f"{key}=".startswith(_NOT_A_RUN_S):
            raise UserError(f"search.space: expected settings of a run; received {key}")
        for value in choices[:2] if is_range(choices) else choices:
            _check(own, key, value, settings.model.task)
    where = settings.run_dir or str(
        runs.OUTPUTS / "search" / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    )
    folder = runs.create(settings.model.name, where)
    elsewhere = options.storage is not None
    stored = options.model_copy(update={"storage": None})
    record = _Record(settings=own, search=stored, task=settings.model.task, elsewhere=elsewhere)
    with runs.writing(folder):
        files.write(folder / RECORD, record.model_dump_json(indent=2) + "\n")
    return folder, record.model_copy(update={"search": options})


def _check(own: list[str], key: str, value: Any, task: TaskName) -> None:
    """Refuses a value that its key cannot have, whatever the other keys have."""
    from src import study

    try:
        found = _parsed([*own, *study.overrides({key: value})])
    except config.ConfigError as error:
        cause = error.__cause__
        places = cause.errors() if isinstance(cause, ValidationError) else [{"loc": ()}]
        parts = set(key.split("."))
        # What only does not fit the values of other keys may fit those that are searched.
        if not isinstance(cause, ValidationError) or any(
            parts <= set(map(str, place["loc"])) for place in places
        ):
            raise UserError(f"search.space: {error}") from error
        return
    except UserError as error:
        raise UserError(f"search.space: {error}") from error
    if found.model.task != task:
        raise UserError(
            f"search.space: expected models for {task}; received {key}={value}, "
            f"for {found.model.task}"
        )


def _settings(own: list[str]) -> list[str]:
    """Settings of a run's command line, read as strictly as if a user had typed them."""
    return overrides.read(own, "train", keys(config.Train)).settings


def _parsed(own: list[str]) -> config.Train:
    values = cli.composed("train", _settings(own))
    return config.parse(
        config.Train, {k: v for k, v in values.items() if k in config.Train.model_fields}
    )


def _read(folder: Path, options: SearchOptions, said: list[str]) -> _Record:
    """A study's record, with what the command line may say of it anew."""
    new = {argument.partition("=")[0] for argument in said} - {"resume"}
    if others := new - {"search.trials", "search.storage"}:
        raise UserError(
            "expected no more than search.trials= and search.storage= with resume=; "
            f"received {min(others)}="
        )
    path = folder / RECORD
    record = children.read_record(path, _Record, "a study")
    for argument in record.settings:
        if argument.startswith(_NOT_A_RUN_S):
            raise UserError(
                f"{path}: expected settings of runs; received {files.clipped(argument)}"
            )
    if record.elsewhere != (options.storage is not None):
        wanted = "the search.storage= that it began with" if record.elsewhere else "no storage"
        raise UserError(
            f"{path}: expected {wanted}; received {'none' if record.elsewhere else 'one'}"
        )
    changes: dict[str, Any] = {"storage": options.storage}
    if "search.trials" in new:
        changes["trials"] = options.trials
    search = record.search.model_copy(update=changes)
    return record.model_copy(update={"search": search})


def _work(folder: Path, record: _Record) -> int:
    """Runs trial after trial, and writes what the study has come to."""
    from src import study

    metric, mode = WATCHED[record.task]
    own = study.open_study(folder, record.search, mode)
    while True:
        with study.next_trial(own, folder, record.search) as claimed:
            if claimed is None:
                break
            trial, settings = claimed
            said = study.overrides(settings)
            print(f"trial {trial.number + 1}/{record.search.trials}: {' '.join(said)}", flush=True)
            ended = _run(folder, trial, [*record.settings, *said], metric)
            if ended in signals.STOPS:
                return ended
    return _report(folder, own, metric)


def _run(folder: Path, trial: optuna.Trial, said: list[str], metric: str) -> int:
    """Trains a trial to its end, or until it is pruned; tells the study, and returns a status."""
    from optuna.trial import TrialState

    from src import study

    own = study.run_folder(folder, trial.number)
    with children.alone(own) as descriptors:
        pruned = _catch_up(trial, own, metric)
        for _ in range(_ATTEMPTS):
            if pruned or results.complete(own):
                break
            try:
                settings = children.overrides(_settings(said), own)
            except UserError as error:
                cli.refuse(str(error))
                break
            status, pruned = _train(trial, settings, descriptors)
            if status in signals.STOPS:
                return status
            # One that was killed goes on; whatever else ended it would end it again.
            if status < 128:
                break
    value = results.read(own).metrics["val"].get(metric) if results.complete(own) else None
    if pruned:
        trial.study.tell(trial, state=TrialState.PRUNED)
    elif value is None:
        trial.study.tell(trial, state=TrialState.FAIL)
    else:
        trial.study.tell(trial, value)
    return 0


def _catch_up(trial: optuna.Trial, folder: Path, metric: str) -> bool:
    """Reports the epochs that a run has trained since its search was killed.

    Returns:
        Whether the run is to be pruned; of the epochs that follow, nothing is reported.
    """
    reported = _reported(trial)
    rows, _ = epochs.read(folder / runs.METRICS)
    for row in rows:
        score = row.get(f"val_{metric}")
        if score is not None and row["epoch"] not in reported:
            trial.report(score, row["epoch"])
            if trial.should_prune():
                return True
    return trial.should_prune()


def _reported(trial: optuna.Trial) -> set[int]:
    return set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)


def _train(
    trial: optuna.Trial, settings: list[str], descriptors: tuple[int, ...]
) -> tuple[int, bool]:
    """Runs a trial's process and answers it; returns its status, and whether it was pruned."""
    asked, asking = os.pipe()
    answers, answering = os.pipe()
    pruned = False
    reported = _reported(trial)

    def answer() -> None:
        nonlocal pruned
        os.close(asking)
        os.close(answers)
        with open(asked, encoding="ascii") as lines:
            for line in lines:
                epoch, score = line.split()
                # An epoch that is trained again after a kill has been reported.
                if int(epoch) not in reported:
                    trial.report(float(score), int(epoch))
                pruned = trial.should_prune()
                # It may have been killed meanwhile.
                with suppress(BrokenPipeError):
                    os.write(answering, b"0" if pruned else b"1")

    pipes = {children.PIPES: f"{answers},{asking}"}
    inherited = (answers, asking, *descriptors)
    try:
        status = children.run("train", settings, pipes, inherited, answer)
    finally:
        os.close(answering)
    return status, pruned


def _report(folder: Path, own: optuna.Study, metric: str) -> int:
    """Prints a table of the trials, and writes `best.yaml` and the pictures."""
    from src import study, study_pictures

    trials = own.get_trials(deepcopy=False)
    names = list(dict.fromkeys(key for trial in trials for key in trial.params))
    sign = -1 if own.direction.name == "MAXIMIZE" else 1
    done = [t for t in trials if t.state.name == "COMPLETE" and t.value is not None]
    done.sort(key=lambda trial: sign * float(trial.value or 0))
    others = [trial for trial in trials if trial not in done]
    rows = [
        [
            f"{trial.number:04}",
            trial.state.name.lower(),
            *("-" if name not in trial.params else _shown(trial.params[name]) for name in names),
            "-" if trial.value is None else f"{trial.value:.5g}",
        ]
        for trial in (*done, *others)
    ]
    print(aligned([["trial", "", *names, f"val {metric}"], *rows], 2))
    if not done:
        raise UserError(f"expected a trial that came to its end; received none of {len(trials)}")
    with runs.writing(folder):
        study_pictures.draw(own, f"val {metric}", folder / "figures")
    best = study.run_folder(folder, done[0].number)
    if (best / runs.CONFIG).exists():
        settings = config.load(best / runs.CONFIG).model_copy(update={"run_dir": None})
        with runs.writing(folder):
            files.write(folder / "best.yaml", config.dump(settings))
        print(f"python -m src.train config={folder / 'best.yaml'} trains with the best settings")
    return 0


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    cli.run("search", main, config.Train, config.Search)
