"""One checkpoint of a run: what is in it, how it is written, and whether it is whole.

A checkpoint is a folder `step-<steps>`: `model.weights.h5`, weights and optimizer as Keras writes
them; `training.npz`, the variables that Keras leaves out (random generators, running metrics,
moving averages); `state.json`, what the callbacks remember; `digests.json`, the SHA-256 of each.
Nothing in it is code or pickle.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
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

# Bytes of HDF5's own for a variable, at most.
_OVERHEAD = 4096

# Bytes of a file, at most: weights and slots of a billion and more.
_MOST = 16 << 30

_Step = Annotated[int, Field(ge=0, lt=10**12)]


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


class DamagedError(Exception):
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


def name_of(step: int) -> str:
    """The name of the checkpoint after so many steps."""
    return f"step-{step:09d}"


def write(
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


def whole(folder: Path) -> Checkpoint:
    """Checks every file of a checkpoint against its digest.

    Raises:
        DamagedError: one is missing or damaged, or the folder is not the one it was saved as.
    """
    try:
        parts = json.loads(files.read(folder / _DIGESTS))
        names = set(parts)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DamagedError(f"{folder.name} with a missing or damaged {_DIGESTS}") from error
    if names != {_WEIGHTS, _TRAINING, _STATE} or not isinstance(parts, dict):
        raise DamagedError(f"{folder.name} with a damaged {_DIGESTS}")
    for part, digest in parts.items():
        try:
            intact = _digest(folder / part) == digest
        except OSError as error:
            raise DamagedError(f"{folder.name} with a missing {part}") from error
        if not intact:
            raise DamagedError(f"{folder.name} with a damaged {part}")
    state = read_state(folder)
    if name_of(state.step) != folder.name:
        raise DamagedError(f"{folder.name} with the contents of {name_of(state.step)}")
    return Checkpoint(folder, state)


def read_state(folder: Path) -> State:
    """What the callbacks remembered.

    Raises:
        DamagedError: it cannot be read.
    """
    try:
        return State.model_validate_json(files.read(folder / _STATE))
    except (OSError, ValidationError) as error:
        raise DamagedError(f"{folder.name} with a damaged {_STATE}") from error


def _digest(path: Path) -> str:
    with files.open_to_read(path) as file:
        # A few bytes on the disk can be a file of terabytes, all of them zeros.
        if os.fstat(file.fileno()).st_size > _MOST:
            raise OSError(errno.EFBIG, f"more than {_MOST:,} bytes", str(path))
        return hashlib.file_digest(file, "sha256").hexdigest()


def marks(folder: Path) -> tuple[tuple[int, ...], ...]:
    """What changes when a checkpoint's files are exchanged or written to."""
    parts = [(folder / part).stat() for part in (_WEIGHTS, _TRAINING, _STATE, _DIGESTS)]
    return tuple((part.st_ino, part.st_size, part.st_mtime_ns) for part in parts)
