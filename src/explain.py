"""Look into a trained network: what excites its maps, and which pixels did.

  python -m src.explain run=latest layer=conv2
  python -m src.explain layer=conv2 maps=[3,17] method=[deconvnet,saliency,guided]
  python -m src.explain layer=conv2 input=photo.jpg

Draws figures/explain-<layer>.png in the run's folder, and the same in TensorBoard.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

if not __package__:  # python src/explain.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from src import cli, config, machine, quiet, results, runs
from src.data import images, sources
from src.data.reading import shown


def main(values: dict[str, Any], words: list[str]) -> int:
    """Draws the layers that `values` name; returns an exit status."""
    del words
    settings = config.parse(config.Explain, values)
    folder = runs.find(settings.run)
    trained = config.load(folder / runs.CONFIG)
    described = results.read_data_facts(folder)
    height, width, channels = described.image_shape
    shape: tuple[int | None, int | None, int] = (height, width, channels or 1)
    if settings.input is None:
        machine.share_threads(trained)
        data = sources.load(trained.data)
        label = ""
    else:
        path = Path(settings.input)
        picture = _picture(path, trained, shape, settings.max_megapixels)
        shape = picture.shape
        label = "-" + re.sub(r"\W+", "-", path.stem)[:60]
    # TensorFlow takes seconds to import: not before the words above are known to be right.
    quiet.tensorflow()
    from src import experiment
    from src.activations import OnePicture, Pictures
    from src.explanation import Explainer
    from src.training.output import Events

    looked_at: Pictures
    if settings.input is None:
        experiment.check_own_data(folder, data, settings.split)
        looked_at = Pictures(data.splits[settings.split])
    else:
        looked_at = OnePicture(picture)
    explainer = Explainer(trained, folder, settings.checkpoint, looked_at, shape)
    layers = explainer.layers() if settings.layers == ["all"] else settings.layers
    explainer.check(layers, settings.methods)
    events = Events(folder)
    for layer in layers:
        sheet = explainer.sheet(layer, settings.maps, settings.top, settings.methods)
        with runs.writing(folder):
            pictures = {"explain": sheet}
            events.write_evaluation(f"{layer}{label}", pictures, {}, [], explainer.step)
        print(f"{layer}: {shown(folder)}/figures/explain-{layer}{label}.png", flush=True)
    return 0


def _picture(
    path: Path,
    trained: config.Train,
    shape: tuple[int | None, int | None, int],
    max_megapixels: int,
) -> np.ndarray:
    """Reads a picture as the network takes it, floats in [0, 1]."""
    height, width, channels = shape
    pixels = images.decode(images.read(path), shown(path), channels, max_megapixels)
    if not trained.model.any_size:
        fit: images.Fit = getattr(trained.data, "fit", "resize")
        pixels = images.fitted(pixels, height or 0, width or 0, fit)
    return pixels / np.float32(255)


if __name__ == "__main__":
    cli.run("explain", main, config.Explain)
