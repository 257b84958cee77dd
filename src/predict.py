"""Predict from pictures: `python -m src.predict run=latest input=photo.jpg`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src import cli, config, pictures, quiet, runs

# What is written for a picture; classifiers write one table.
_ENDINGS: dict[str, tuple[str, ...]] = {
    "segmentation": (".png", "-overlay.png"),
    "reconstruction": (".png", "-sheet.png"),
}


def main(values: dict[str, Any], words: list[str]) -> int:
    """Predicts from the pictures that `values` name; returns an exit status."""
    del words
    settings = config.parse(config.Predict, values)
    folder = runs.find(settings.run)
    trained = config.load(folder / runs.CONFIG)
    output = Path(settings.output or folder / "predictions")
    found = pictures.find(settings.input)
    endings = _ENDINGS.get(trained.model.task, ())
    pictures.check_output(output, settings.input, found, endings, settings.overwrite)
    # TensorFlow takes seconds to import: not before the words above are known to be right.
    quiet.tensorflow()
    from src.prediction import Predictor

    predictor = Predictor(trained, folder, settings.checkpoint)
    for line in predictor.predict(found, output, settings.invert):
        print(line)
    print(f"{len(found)} predicted by {folder}, {settings.checkpoint}: see {output}")
    return 0


if __name__ == "__main__":
    cli.run("predict", main)
