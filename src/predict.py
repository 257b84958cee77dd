"""Predict from pictures: `python -m src.predict run=latest input=photo.jpg`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # python src/predict.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from src import cli, config, files, quiet, runs
from src.data import images
from src.data.reading import shown
from src.errors import UserError

# What is written for a picture; classifiers write one table.
_ENDINGS: dict[str, tuple[str, ...]] = {
    "segmentation": (".png", "-overlay.png"),
    "reconstruction": (".png", "-sheet.png"),
}
_MOST_NAME = 255  # In bytes, where the file system does not say.


def main(values: dict[str, Any], arguments: list[str]) -> int:
    """Predicts from the pictures that `values` name; returns an exit status."""
    del arguments
    settings = config.parse(config.Predict, values)
    folder = runs.find(settings.run)
    trained = config.load(folder / runs.CONFIG)
    output = Path(settings.output or folder / "predictions")
    found = images.find(settings.input)
    endings = _ENDINGS.get(trained.model.task, ())
    check_output(output, settings.input, found, endings, settings.overwrite)
    for path in found:
        images.decode(images.read(path), shown(path), 1, settings.max_megapixels)
    # TensorFlow takes seconds to import: not before the settings above are known to be right.
    quiet.tensorflow()
    from src.prediction import Predictor

    predictor = Predictor(trained, folder, settings.checkpoint, settings.max_megapixels)
    done = 0
    try:
        for line in predictor.predict(found, output, settings.invert):
            print(line, flush=True)
            done += 1
    except OSError as error:
        raise UserError(
            f"expected to write to {shown(output)}; received {error.strerror} "
            f"({min(done, len(found))} of {len(found)} were predicted before, and stay)"
        ) from error
    ending = f"{shown(folder)}, {settings.checkpoint}: see {shown(output)}"
    print(f"{len(found)} predicted by {ending}")
    return 0


def check_output(
    folder: Path, where: str, found: Sequence[Path], endings: Sequence[str], overwrite: bool
) -> None:
    """Refuses to write where something would be lost, or where nothing can be written.

    Args:
        folder: what is written to.
        where: the file or folder that the pictures are read from.
        found: the pictures.
        endings: what is written for a picture: its name without its ending, and each of these.
        overwrite: whether what is in the folder may be replaced.

    Raises:
        UserError: there is something in the folder and `overwrite` is not set, it is the pictures'
            own, it cannot be written to, or two pictures would have predictions of one name.
    """
    try:
        there = _existing(folder)
        filled = there == folder and any(folder.iterdir())
        most = os.pathconf(there, "PC_NAME_MAX")
    except OSError as error:
        raise UserError(
            f"expected output= as a new or empty folder; received {files.clipped(shown(folder))} "
            f"({error.strerror})"
        ) from error
    if filled and not overwrite:
        raise UserError(
            f"expected output= as a new or empty folder, or overwrite=true; received "
            f"{shown(folder)}"
        )
    own = where if os.path.isdir(where) else os.path.dirname(where) or "."
    if os.path.realpath(folder) == os.path.realpath(own):
        raise UserError(
            f"expected output= apart from the pictures of input=; received {shown(folder)}"
        )
    _check_names(found, endings, most if most > 0 else _MOST_NAME)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that there is; something can be written there."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if there.is_symlink() and there == folder:
        raise OSError(0, "a link, which may lead anywhere")
    if not there.is_dir():
        raise OSError(0, f"{shown(there)} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(0, f"{shown(there)} cannot be written to")
    if not os.statvfs(there).f_bavail:
        raise OSError(0, "No space left on device")
    return there


def _check_names(found: Sequence[Path], endings: Sequence[str], most: int) -> None:
    taken: dict[str, Path] = {}
    for path in found:
        for name in (f"{path.stem}{ending}" for ending in endings):
            if name in taken:
                raise UserError(
                    f"expected pictures whose predictions have names of their own; received "
                    f"{shown(taken[name].name)} and {shown(path.name)}, both with {shown(name)}"
                )
            length = len(os.fsencode(name))
            if length > most:
                raise UserError(
                    f"expected names of at most {most} bytes for predictions; received {length} "
                    f"for that of {shown(path.name)}"
                )
            taken[name] = path


if __name__ == "__main__":
    cli.run("predict", main, config.Predict)
