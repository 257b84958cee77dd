"""A run's state on disk.

A checkpoint is a folder `step-<steps>`: `model.weights.h5`, weights and optimizer as Keras writes
them; `training.npz`, the variables that Keras leaves out (random generators, running metrics,
moving averages); `state.json`, what the callbacks remember; `digests.json`, the SHA-256 of each.
It is written aside, flushed and renamed; then the pointers, the one-line files `last` and `best`,
move. Nothing in it is code or pickle.

The pointers are for people. What counts is the newest whole checkpoint and what it remembers of
the best, so that a pointer that was damaged or exchanged misleads nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from src import runs
from src.errors import UserError
from src.training.averages import AveragedModel

_WEIGHTS, _TRAINING, _STATE, _DIGESTS = (
    "model.weights.h5",
    "training.npz",
    "state.json",
    "digests.json",
)

# Bytes of HDF5's own for a variable, at most.
_OVERHEAD = 4096


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
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """Steps trained."""
        return self.state["step"]

    def restore(self, model: AveragedModel) -> bool:
        """Loads the weights and their averages, and the optimizer's slots if the model has one.

        Returns:
            False if the slots are those of another optimizer and were left alone.

        Raises:
            UserError: the weights are another model's.
        """
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.load_weights(self.folder / _WEIGHTS)
            # Keras leaves what it does not find as it is, and only warns.
            skipped = [str(item.message) for item in caught if "kipping" in str(item.message)]
            if others := [line for line in skipped if "for optimizer" not in line]:
                raise ValueError(others[0])
        except (ValueError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self.folder}: expected the weights of model={model.name}; received {reason}"
            ) from error
        self.assign("averages", model.averages.variables)
        return not skipped

    def assign(self, group: str, variables: list[keras.Variable]) -> None:
        """Loads one of the groups of variables that were saved beside the weights."""
        with np.load(self.folder / _TRAINING, allow_pickle=False) as arrays:
            names = sorted(name for name in arrays.files if name.startswith(f"{group} "))
            for name, variable in zip(names, variables, strict=True):
                variable.assign(arrays[name])


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are; made with the first one.
        keep: how many of the newest are kept beside the best.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(
        self,
        model: keras.Model,
        groups: dict[str, list[keras.Variable]],
        state: dict[str, Any],
    ) -> None:
        """Saves the model and all that its training goes on from.

        Args:
            model: compiled, with its optimizer built.
            groups: the variables that `model.save_weights` leaves out, by the name of the group.
            state: what the callbacks remember, as JSON can hold it: `step`, steps trained, and
                `best_step`, the step of the best checkpoint so far, this one or an earlier.
        """
        name = _name(state["step"])
        aside = self.folder / f".{name}.writing"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
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
        _flush(self.folder)
        runs.write(self.folder / "last", name + "\n")
        runs.write(self.folder / "best", _name(state["best_step"]) + "\n")
        self._forget_old()

    def last(self) -> tuple[Checkpoint, list[str]]:
        """The newest whole checkpoint, and what is wrong with each newer one.

        Raises:
            UserError: there is none.
        """
        damages: list[str] = []
        for folder in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                return _whole(folder), damages
            except _DamagedError as error:
                damages.append(str(error))
        found = ", ".join(damages) or "none"
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
                checkpoint = _whole(self.folder / _name(checkpoint.state["best_step"]))
        except _DamagedError as error:
            damages.append(str(error))
        if damages:
            raise UserError(
                f"expected whole checkpoints in {self.folder}; received {', '.join(damages)}"
            )
        return checkpoint

    def _forget_old(self) -> None:
        newest = sorted(path.name for path in self.folder.glob("step-*"))
        kept = set(newest[-self.keep :])
        # A run that falls back on an older checkpoint falls back on what was the best then.
        for name in tuple(kept):
            try:
                state = json.loads((self.folder / name / _STATE).read_text(encoding="utf-8"))
                kept.add(_name(state["best_step"]))
            except (OSError, ValueError, KeyError):
                continue
        for name in set(newest) - kept:
            shutil.rmtree(self.folder / name)


def _write(
    folder: Path, model: keras.Model, groups: dict[str, list[keras.Variable]], state: dict[str, Any]
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
    (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")
    parts = {part: _digest(folder / part) for part in (_WEIGHTS, _TRAINING, _STATE)}
    (folder / _DIGESTS).write_text(json.dumps(parts), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        _flush(path)


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
        parts = json.loads((folder / _DIGESTS).read_text(encoding="utf-8"))
        names = set(parts)
    except (OSError, ValueError, TypeError) as error:
        raise _DamagedError(f"{folder.name} with a missing or damaged {_DIGESTS}") from error
    if names != {_WEIGHTS, _TRAINING, _STATE}:
        raise _DamagedError(f"{folder.name} with a damaged {_DIGESTS}")
    for part, digest in parts.items():
        try:
            intact = _digest(folder / part) == digest
        except OSError as error:
            raise _DamagedError(f"{folder.name} with a missing {part}") from error
        if not intact:
            raise _DamagedError(f"{folder.name} with a damaged {part}")
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    if _name(state["step"]) != folder.name:
        raise _DamagedError(f"{folder.name} with the contents of {_name(state['step'])}")
    return Checkpoint(folder, state)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
