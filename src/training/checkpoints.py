"""The checkpoints of a run, of which the newest and the best are kept.

One is written aside, flushed and renamed; then the pointers, the one-line files `last` and `best`,
move. What is not named like a checkpoint is left alone.

The pointers are for people. What counts is the newest whole checkpoint and what it remembers of
the best, so that a pointer that was damaged or exchanged misleads nobody.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import keras

from src import files
from src.errors import UserError
from src.training.checkpoint import (
    Checkpoint,
    DamagedError,
    State,
    marks,
    name_of,
    read_state,
    whole,
    write,
)

# Steps have nine digits at least.
_STEP = re.compile(r"step-\d{9,12}")


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
        name = name_of(state.step)
        # Without its parents: a run whose folder was removed does not come back as a part.
        self.folder.mkdir(exist_ok=True)
        aside = self.folder / f".{name}.writing"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            write(aside, model, groups, state)
        except BaseException:
            # On a full disk what was begun is in the way of everything else.
            shutil.rmtree(aside, ignore_errors=True)
            raise
        final = self.folder / name
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        files.flush(self.folder)
        self._seen[name] = marks(final)
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
        files.write(self.folder / "last", name_of(state.step) + "\n")
        files.write(self.folder / "best", name_of(state.best_step) + "\n")

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
                return whole(folder), damages
            except DamagedError as error:
                damages.append(str(error))
        found = files.clipped(", ".join(damages), 600) or "none"
        raise UserError(f"expected a whole checkpoint in {self.folder}; received {found}")

    def of_step(self, step: int) -> Checkpoint:
        """The checkpoint of a step.

        Raises:
            UserError: there is none, or it is damaged.
        """
        try:
            return whole(self.folder / name_of(step))
        except DamagedError as error:
            raise UserError(
                f"expected the chief's checkpoint in {self.folder}, on a file system that all "
                f"workers share; received {error}"
            ) from error

    def named(self, which: str) -> Checkpoint:
        """The `best` or the `last` checkpoint, for an evaluation.

        Raises:
            UserError: there is none, or the newest, which knows the best, or the best is damaged:
                an older one would be evaluated in its name.
        """
        checkpoint, damages = self.last()
        try:
            if which == "best" and not damages:
                checkpoint = whole(self.folder / name_of(checkpoint.state.best_step))
        except DamagedError as error:
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
        found: dict[str, State] = {}
        for folder in self._named():
            state = self._state(folder)
            if state is not None:
                found[folder.name] = state
        kept = set(list(found)[: self.keep])
        # A run that falls back on an older checkpoint falls back on what was the best then.
        kept |= {name_of(found[name].best_step) for name in kept}
        for name in found.keys() - kept:
            shutil.rmtree(self.folder / name)

    def _state(self, folder: Path) -> State | None:
        """The state of a checkpoint that is whole, else None; reads its files once."""
        try:
            found = marks(folder)
            if self._seen.get(folder.name) != found:
                whole(folder)
                self._seen[folder.name] = found
            return read_state(folder)
        except (OSError, DamagedError):
            return None
