"""A study of Optuna's: where it is kept, what it suggests, and who works on which trial.

What is suggested for a trial is a function of the seed, the trial's number and what the study was
told: a search that was killed goes on to the trials of one that was left alone. The journal of the
study is lines of JSON, and nothing of it is unpickled.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, Trial, TrialState

from src import files, runs
from src.config.model import Mode
from src.config.search import SearchOptions, Value, is_range
from src.errors import UserError

JOURNAL = "journal.log"
_MOST = 1 << 28  # Bytes of a journal.


class _Lock(BaseJournalFileLock):
    """A lock that dies with its process; Optuna's own stay behind one that was killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BufferedWriter | None = None

    def acquire(self) -> bool:
        """Waits for the lock."""
        self.file = files.open_to_append(self.path)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Lets others have it."""
        if self.file:
            self.file.close()
            self.file = None


class _Seeded(optuna.samplers.BaseSampler):
    """A tree-structured Parzen estimator (Bergstra et al. 2011) that begins anew for each value."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Every key is sampled for itself."""
        return {}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value by the seed, the trial's number, the key, and the trials that have ended."""
        text = f"{self.seed} {trial.number} {param_name}".encode()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=False)
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def open_study(folder: Path, options: SearchOptions, mode: Mode) -> optuna.Study:
    """Opens the study of a folder, and makes it if there is none.

    Args:
        folder: the study's.
        options: the study's.
        mode: whether more or less of the watched metric is better.

    Raises:
        UserError: what it is kept in cannot be opened, or holds something else.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    try:
        return optuna.create_study(
            storage=_journal(folder) if options.storage is None else options.storage,
            sampler=_Seeded(options.seed),
            pruner=_pruner(options),
            study_name=folder.resolve().name,
            direction="maximize" if mode == "max" else "minimize",
            load_if_exists=True,
        )
    # Whatever a driver of a database, or a line that is none of a journal's, makes Python raise.
    except Exception as error:
        # Without the address, which may hold a password.
        where = folder / JOURNAL if options.storage is None else "search.storage="
        told = options.storage is None or isinstance(error, ImportError)
        reason = files.clipped(error.__cause__ or error) if told else type(error).__name__
        raise UserError(f"expected a study in {where}; received {reason}") from error


def _journal(folder: Path) -> BaseStorage:
    path, lock = folder / JOURNAL, _Lock(folder / f".{JOURNAL}.lock")
    lock.acquire()
    try:
        files.open_to_append(path).close()
        data = files.read(path, _MOST)
        # Killed as it wrote a line: nothing that follows would be read.
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _pruner(options: SearchOptions) -> optuna.pruners.BasePruner:
    match options.pruner:
        case "median":
            return optuna.pruners.MedianPruner()
        case "hyperband":
            return optuna.pruners.HyperbandPruner()
        case _:
            return optuna.pruners.NopPruner()


def distributions(space: Mapping[str, list[Value]]) -> dict[str, BaseDistribution]:
    """A space as Optuna has it."""
    return {key: _distribution(values) for key, values in space.items()}


def _distribution(values: list[Value]) -> BaseDistribution:
    if not is_range(values):
        return CategoricalDistribution(values)
    low, high, scale = values
    log = scale == "log"
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)  # type: ignore[arg-type]


@contextmanager
def next_trial(
    study: optuna.Study, folder: Path, options: SearchOptions
) -> Iterator[tuple[Trial, dict[str, Value]] | None]:
    """Within the block this process has a trial for itself: one that was killed, or a new one.

    Args:
        study: the study.
        folder: its folder, in which a trial's run has its number as name.
        options: its settings.

    Yields:
        The trial and its settings by key; None if there is nothing left to do here.
    """
    with _claimed(study, folder, options) as trial:
        if trial is None:
            yield None
        else:
            space = distributions(options.space)
            yield trial, {key: trial._suggest(key, space[key]) for key in space}


@contextmanager
def _claimed(study: optuna.Study, folder: Path, options: SearchOptions) -> Iterator[Trial | None]:
    claim = None
    # One process after another looks for what nobody has.
    with runs.exclusive(folder / ".ask.lock"):
        trials = study.get_trials(deepcopy=False)
        for known in trials:
            # With a storage elsewhere it may be another machine's, whose folder is not here.
            here = options.storage is None or run_folder(folder, known.number).exists()
            if known.state == TrialState.RUNNING and here:
                claim = _claim(folder, known.number)
                if claim:
                    trial = Trial(study, known._trial_id)
                    break
        else:
            if len(trials) < options.trials:
                trial = study.ask()
                claim = _claim(folder, trial.number)
    if claim is None:
        yield None
        return
    with claim:
        yield trial


def _claim(folder: Path, number: int) -> BufferedWriter | None:
    file = files.open_to_append(folder / f".{number:04}.lock")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def run_folder(folder: Path, number: int) -> Path:
    """The folder of a trial's run.

    Raises:
        UserError: it is a link, which would lead the run elsewhere.
    """
    own = folder / f"{number:04}"
    if own.is_symlink():
        raise UserError(f"expected a folder of the study's own; received {own}")
    return own


def overrides(settings: Mapping[str, Value]) -> list[str]:
    """A trial's settings as they would be typed."""
    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in settings.items()
    ]
