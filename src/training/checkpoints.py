"""A run's state on disk.

A checkpoint is a folder `step-<steps>`: `model.weights.h5`, weights and optimizer as Keras writes
them; `training.npz`, the variables that Keras leaves out (random generators, running metrics,
moving averages); `state.json`, what the callbacks remember; `digests.json`, the SHA-256 of each.
It is written aside, flushed and renamed; then the pointers, the one-line files `last` and `best`,
move. Nothing in it is code or pickle. What is not named like a checkpoint is left alone.

The pointers are for people. What counts is the newest whole checkpoint and what it remembers of
the best, so that a pointer that was damaged or exchanged misleads nobody.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
from pydantic import Field, ValidationError

from src import files
from src.config.section import Section
from src.errors import UserError
from src.training import earlier
from src.training.model import TrainingModel
from src.training.stored import check_weights, read_arrays

_WEIGHTS, _TRAINING, _STATE, _DIGESTS = (
    "model.weights.h5",
    "training.npz",
    "state.json",
    "digests.json",
)

# Steps have nine digits at least.
_STEP = re.compile(r"step-\d{9,12}")
_Step = Annotated[int, Field(ge=0, lt=10**12)]

# Bytes of HDF5's own for a variable, at most.
_OVERHEAD = 4096

# Bytes of a file, at most: weights and slots of a billion and more.
_MOST = 16 << 30


class State(Section):
    """What the callbacks remember.

    Attributes:
        step: steps trained.
        best_step: the step of the best checkpoint so far, this one or an earlier.
        watched: name of the metric that decides.
        best: its best value; None if there was none.
        waited: epochs since then.
    """

    step: _Step
    best_step: _Step
    watched: str = ""
    best: float | None = None
    waited: _Step = 0


class _DamagedError(Exception):
    """Names the checkpoint and what is wrong with it."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are all whole.

    Attributes:
        folder: where it is.
        state: what the callbacks remembered.
    """

    folder: Path
    state: State

    @property
    def step(self) -> int:
        """Steps trained."""
        return self.state.step

    def restore(self, model: TrainingModel) -> bool:
        """Loads the weights and their averages, and the optimizer's slots if the model has one.

        Returns:
            False if the slots are those of another optimizer and were left alone.

        Raises:
            UserError: the weights are another model's.
        """
        try:
            check_weights(self.folder / _WEIGHTS, model)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with earlier.readable(self.folder / _WEIGHTS) as weights:
                    model.load_weights(weights)
            # Keras leaves what it does not find as it is, and only warns.
            skipped = [str(item.message) for item in caught if "kipping" in str(item.message)]
            if others := [line for line in skipped if "for optimizer" not in line]:
                raise ValueError(others[0])
        # HDF5 and Keras raise anything about a file that was made to mislead them.
        except Exception as error:
            raise UserError(
                f"{self.folder}: expected the weights of model={model.name}; "
                f"received {files.clipped(error)}"
            ) from error
        self.assign("averages", model.averages.variables)
        return not skipped

    def assign(self, group: str, variables: list[keras.Variable]) -> None:
        """Loads one of the groups of variables that were saved beside the weights.

        Raises:
            UserError: the group is of other variables.
        """
        try:
            arrays = read_arrays(self.folder / _TRAINING, {group: variables})[group]
        # So do archives.
        except Exception as error:
            raise UserError(
                f"{self.folder / _TRAINING}: expected {len(variables)} arrays of {group}; "
                f"received {files.clipped(error)}"
            ) from error
        for array, variable in zip(arrays, variables, strict=True):
            variable.assign(array)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are, in the run's; made with the first one.
        keep: how many of the newest are kept beside the best; the newest two always are.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = max(2, keep)
        # Those that were found whole, or written, and what told them apart from others then.
        self._seen: dict[str, tuple[tuple[int, ...], ...]] = {}

    def save(
        self,
        model: keras.Model,
        groups: dict[str, list[keras.Variable]],
        state: State,
    ) -> None:
        """Saves the model and all that its training goes on from.

        Args:
            model: compiled, with its optimizer built.
            groups: the variables that `model.save_weights` leaves out, by the name of the group.
            state: what the callbacks remember.

        Raises:
            OSError: there is no room, or the run's folder is gone.
        """
        name = _name(state.step)
        # Without its parents: a run whose folder was removed does not come back as a part.
        self.folder.mkdir(exist_ok=True)
        aside = self.folder / f".{name}.writing"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            _write(aside, model, groups, state)
        except BaseException:
            # On a full disk what was begun is in the way of everything else.
            shutil.rmtree(aside, ignore_errors=True)
            raise
        final = self.folder / name
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        files.flush(self.folder)
        self._seen[name] = _marks(final)
        self._point(state)
        self._forget_old()

    def any(self) -> bool:
        """Whether there is one, whole or not."""
        return bool(self._named())

    def tidy(self, newest: Checkpoint | None) -> None:
        """Sets damaged checkpoints aside that are newer than the one that a run goes on from.

        They would otherwise stand in the place of those that are to come. What a save left behind
        that was cut short is removed, and the pointers that it did not move are moved.
        """
        for path in self.folder.glob(".step-*.writing"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        for folder in self._named():
            if newest is None or folder.name > newest.folder.name:
                numbers = (f"damaged-{number}-{folder.name}" for number in range(1, 1_000_000))
                free = next(name for name in numbers if not (self.folder / name).exists())
                folder.rename(self.folder / free)
        if newest is not None:
            self._point(newest.state)

    def _point(self, state: State) -> None:
        files.write(self.folder / "last", _name(state.step) + "\n")
        files.write(self.folder / "best", _name(state.best_step) + "\n")

    def _named(self) -> list[Path]:
        """What is named like a checkpoint, the newest first."""
        found = [path for path in self.folder.glob("step-*") if _STEP.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)

    def last(self) -> tuple[Checkpoint, list[str]]:
        """The newest whole checkpoint, and what is wrong with each newer one.

        Raises:
            UserError: there is none.
        """
        damages: list[str] = []
        for folder in self._named():
            try:
                return _whole(folder), damages
            except _DamagedError as error:
                damages.append(str(error))
        found = files.clipped(", ".join(damages), 600) or "none"
        raise UserError(f"expected a whole checkpoint in {self.folder}; received {found}")

    def named(self, which: str) -> Checkpoint:
        """The `best` or the `last` checkpoint, for an evaluation.

        Raises:
            UserError: there is none, or the newest, which knows the best, or the best is damaged:
                an older one would be evaluated in its name.
        """
        checkpoint, damages = self.last()
        try:
            if which == "best" and not damages:
                checkpoint = _whole(self.folder / _name(checkpoint.state.best_step))
        except _DamagedError as error:
            damages.append(str(error))
        if damages:
            raise UserError(
                f"expected whole checkpoints in {self.folder}; received {', '.join(damages)}"
            )
        return checkpoint

    def _forget_old(self) -> None:
        """Removes whole checkpoints that neither are among the newest nor the best of one of them.

        What is damaged is no checkpoint: it neither counts as one of the newest nor is removed.
        """
        whole: dict[str, State] = {}
        for folder in self._named():
            state = self._state(folder)
            if state is not None:
                whole[folder.name] = state
        kept = set(list(whole)[: self.keep])
        # A run that falls back on an older checkpoint falls back on what was the best then.
        kept |= {_name(whole[name].best_step) for name in kept}
        for name in whole.keys() - kept:
            shutil.rmtree(self.folder / name)

    def _state(self, folder: Path) -> State | None:
        """The state of a checkpoint that is whole, else None; reads its files once."""
        try:
            marks = _marks(folder)
            if self._seen.get(folder.name) != marks:
                _whole(folder)
                self._seen[folder.name] = marks
            return _read_state(folder)
        except (OSError, _DamagedError):
            return None


def _write(
    folder: Path, model: keras.Model, groups: dict[str, list[keras.Variable]], state: State
) -> None:
    """Writes the files of a checkpoint, to the disk itself."""
    _expect_room(folder, [*model.variables, *model.optimizer.variables])
    model.save_weights(folder / _WEIGHTS)
    arrays = {
        # Paths are for the reader; the number tells variables of equal path apart.
        f"{group} {index:04d} {variable.path}": np.asarray(variable)
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }
    np.savez(folder / _TRAINING, allow_pickle=False, **arrays)
    (folder / _STATE).write_text(json.dumps(state.model_dump()), encoding="utf-8")
    parts = {part: _digest(folder / part) for part in (_WEIGHTS, _TRAINING, _STATE)}
    (folder / _DIGESTS).write_text(json.dumps(parts), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        files.flush(path)


def _expect_room(folder: Path, variables: list[keras.Variable]) -> None:
    """Raises OSError where the weights will not fit: HDF5, out of space, takes the process down."""
    sizes = [np.asarray(variable).nbytes + _OVERHEAD for variable in variables]
    room = folder / ".room"
    with room.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, sum(sizes))
    room.unlink()


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _whole(folder: Path) -> Checkpoint:
    """Checks every file of a checkpoint against its digest.

    Raises:
        _DamagedError: one is missing or damaged, or the folder is not the one it was saved as.
    """
    try:
        parts = json.loads(files.read(folder / _DIGESTS))
        names = set(parts)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _DamagedError(f"{folder.name} with a missing or damaged {_DIGESTS}") from error
    if names != {_WEIGHTS, _TRAINING, _STATE} or not isinstance(parts, dict):
        raise _DamagedError(f"{folder.name} with a damaged {_DIGESTS}")
    for part, digest in parts.items():
        try:
            intact = _digest(folder / part) == digest
        except OSError as error:
            raise _DamagedError(f"{folder.name} with a missing {part}") from error
        if not intact:
            raise _DamagedError(f"{folder.name} with a damaged {part}")
    state = _read_state(folder)
    if _name(state.step) != folder.name:
        raise _DamagedError(f"{folder.name} with the contents of {_name(state.step)}")
    return Checkpoint(folder, state)


def _read_state(folder: Path) -> State:
    try:
        return State.model_validate_json(files.read(folder / _STATE))
    except (OSError, ValidationError) as error:
        raise _DamagedError(f"{folder.name} with a damaged {_STATE}") from error


def _digest(path: Path) -> str:
    with files.open_to_read(path) as file:
        # A few bytes on the disk can be a file of terabytes, all of them zeros.
        if os.fstat(file.fileno()).st_size > _MOST:
            raise OSError(errno.EFBIG, f"more than {_MOST:,} bytes", str(path))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _marks(folder: Path) -> tuple[tuple[int, ...], ...]:
    """What changes when a checkpoint's files are exchanged or written to."""
    parts = [(folder / part).stat() for part in (_WEIGHTS, _TRAINING, _STATE, _DIGESTS)]
    return tuple((part.st_ino, part.st_size, part.st_mtime_ns) for part in parts)
