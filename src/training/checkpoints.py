"""A run's state on disk.

A checkpoint is a folder `step-<steps>`: `model.weights.h5`, weights and optimizer as Keras writes
them; `training.npz`, the variables that Keras leaves out (random generators, running metrics);
`state.json`, what the callbacks remember; `digests.json`, the SHA-256 of each. It is written aside,
flushed and renamed; then a pointer, the one-line file `last` or `best`, moves. Nothing in it is
code or pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from src import runs
from src.errors import UserError

_WEIGHTS, _TRAINING, _STATE, _DIGESTS = (
    "model.weights.h5",
    "training.npz",
    "state.json",
    "digests.json",
)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are; made with the first one.
        keep: how many of the newest are kept beside the best.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, model: keras.Model, state: dict[str, Any], step: int, best: bool) -> None:
        """Saves the model and all that its training goes on from.

        Args:
            model: compiled, with its optimizer built.
            state: what the callbacks remember, as JSON can hold it.
            step: steps trained.
            best: whether the pointer `best` moves here, too.
        """
        name = f"step-{step:09d}"
        aside = self.folder / f".{name}.writing"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        model.save_weights(aside / _WEIGHTS)
        np.savez(aside / _TRAINING, allow_pickle=False, **_named(_training_variables(model)))
        (aside / _STATE).write_text(json.dumps(state), encoding="utf-8")
        parts = {part: _digest(aside / part) for part in (_WEIGHTS, _TRAINING, _STATE)}
        (aside / _DIGESTS).write_text(json.dumps(parts), encoding="utf-8")
        for part in aside.iterdir():
            _flush(part)
        _flush(aside)
        final = self.folder / name
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        _flush(self.folder)
        for pointer in ("last", "best") if best else ("last",):
            runs.write(self.folder / pointer, name + "\n")
        self._forget_old()

    def load_weights(self, model: keras.Model, which: str) -> dict[str, Any]:
        """Loads the weights of the `best` or the `last` checkpoint; returns its state.

        Raises:
            UserError: there is none, it is damaged, or it is of another model.
        """
        folder = self._verified(which)
        try:
            model.load_weights(folder / _WEIGHTS)
        except (ValueError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{folder}: expected the weights of model={model.name}; received {reason}"
            ) from error
        return json.loads((folder / _STATE).read_text(encoding="utf-8"))

    def _verified(self, which: str) -> Path:
        pointer = self.folder / which
        try:
            folder = self.folder / Path(pointer.read_text(encoding="utf-8").strip()).name
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"expected a checkpoint in {self.folder}; received no readable {pointer.name}"
            ) from error
        try:
            parts = json.loads((folder / _DIGESTS).read_text(encoding="utf-8"))
            damaged = [part for part, digest in parts.items() if _digest(folder / part) != digest]
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(f"expected a whole checkpoint; received {folder} ({error})") from error
        if damaged or set(parts) != {_WEIGHTS, _TRAINING, _STATE}:
            raise UserError(
                f"expected a whole checkpoint; received {folder} with a damaged "
                f"{', '.join(damaged) or _DIGESTS}"
            )
        return folder

    def _forget_old(self) -> None:
        best = self.folder / "best"
        kept = {best.read_text(encoding="utf-8").strip()} if best.exists() else set()
        newest = sorted(path.name for path in self.folder.glob("step-*"))
        for name in set(newest[: -self.keep]) - kept:
            shutil.rmtree(self.folder / name)


def _training_variables(model: keras.Model) -> list[keras.Variable]:
    weights = {id(variable) for variable in model.weights}
    others = [variable for variable in model.variables if id(variable) not in weights]
    return [*others, *model.metrics_variables]


def _named(variables: list[keras.Variable]) -> dict[str, np.ndarray]:
    # Paths are for the reader; the order tells variables of equal path apart.
    return {
        f"{index:04d} {variable.path}": np.asarray(variable)
        for index, variable in enumerate(variables)
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
