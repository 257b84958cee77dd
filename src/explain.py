"""Look into a trained network: what excites its maps, and which pixels did.

  python -m src.explain run=latest layer=conv2
  python -m src.explain layer=conv2 maps=[3,17] method=[deconvnet,saliency,guided]
  python -m src.explain layer=conv2 input=photo.jpg
  python -m src.explain model=vgg16 model.weights=vgg16.h5 layer=block3_conv3 input=photos

Draws figures/explain-<layer>.png in the run's folder, what the same maps make of a few pictures
(activations-<layer>.png), and the kernels of the first layer (kernels-first-layer.png), and the
same in TensorBoard; of a network from elsewhere, in outputs/<model>.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # python src/explain.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from src import cli, config, machine, quiet, results, runs
from src.config.backbones import BACKBONES
from src.data import images, sources
from src.data.reading import shown

if TYPE_CHECKING:
    from src.explanation import Explainer


def main(values: dict[str, Any], arguments: list[str]) -> int:
    """Draws the layers that `values` name; returns an exit status."""
    del arguments
    settings = config.parse(config.Explain, values)
    if settings.model.name:
        return _from_elsewhere(settings)
    folder = runs.find(settings.run)
    trained = config.load(folder / runs.CONFIG)
    described = results.read_data_facts(folder)
    height, width, channels = described.image_shape
    shape: tuple[int | None, int | None, int] = (height, width, channels or 1)
    if settings.input is None:
        machine.share_threads(trained)
        data = sources.load(trained.data)
    else:
        found = _found(settings)
        size = None if trained.model.any_size else (height or 0, width or 0)
        fit = trained.data.input_fit
        read = functools.partial(_picture, settings.max_megapixels, channels or 1, size, fit)
        shape = read(found[0]).shape if len(found) == 1 or size else (None, None, shape[2])
    # TensorFlow takes seconds to import: not before the settings above are known to be right.
    quiet.tensorflow()
    from src import experiment
    from src.activations import OneByOne, Pictures
    from src.explanation import Explainer

    looked_at: Pictures
    if settings.input is None:
        experiment.check_own_data(folder, data, settings.split)
        looked_at = Pictures(data.splits[settings.split])
    else:
        looked_at = OneByOne(len(found), lambda number: read(found[number]))
    explainer = Explainer.of_run(trained, folder, settings.checkpoint, looked_at, shape)
    return _draw(explainer, settings, folder)


def _from_elsewhere(settings: config.Explain) -> int:
    """Looks into a network of `keras.applications`; returns an exit status."""
    network = settings.model
    assert network.name
    assert network.weights
    folder = runs.OUTPUTS / network.name
    runs.check_regular(folder)
    runs.check_weights(network.weights, network.named_weights)
    found = _found(settings)
    side = network.size or BACKBONES[network.name].size
    read = functools.partial(_picture, settings.max_megapixels, 3, side, "resize")
    read(found[0])
    quiet.tensorflow()
    from src.activations import OneByOne
    from src.explanation import Explainer

    looked_at = OneByOne(len(found), lambda number: read(found[number]))
    explainer = Explainer.from_elsewhere(network, looked_at)
    with runs.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return _draw(explainer, settings, folder)


def _draw(explainer: Explainer, settings: config.Explain, folder: Path) -> int:
    """Draws each layer into a folder's `figures/` and TensorBoard; returns an exit status."""
    from src.training.output import Events

    label = ""
    if settings.input is not None:
        label = "-" + re.sub(r"\W+", "-", Path(settings.input).absolute().stem)[:60]
    layers = explainer.layers() if settings.layers == ["all"] else settings.layers
    explainer.check(layers, settings.methods)
    events = Events(folder)
    if (sheet := explainer.kernels()) is not None:
        with runs.writing(folder):
            events.write_evaluation("first-layer", {"kernels": sheet}, {}, [], explainer.step)
    for layer in layers:
        pictures = explainer.draw(layer, settings.maps, settings.top, settings.methods)
        with runs.writing(folder):
            events.write_evaluation(f"{layer}{label}", pictures, {}, [], explainer.step)
        print(f"{layer}: {shown(folder)}/figures/explain-{layer}{label}.png", flush=True)
    return 0


def _found(settings: config.Explain) -> list[Path]:
    """The pictures that `input=` names."""
    assert settings.input is not None
    return images.find(settings.input)


def _picture(
    max_megapixels: int,
    channels: int,
    size: int | tuple[int, int] | None,
    fit: images.Fit,
    path: Path,
) -> np.ndarray:
    """Reads a picture as the network takes it, floats in [0, 1].

    Args:
        max_megapixels: millions of pixels that it may have.
        channels: 1 or 3.
        size: height and width; the shorter side, to keep their ratio; None to leave both.
        fit: how a picture of another ratio comes to that height and width.
        path: its file.
    """
    pixels = images.decode(images.read(path), shown(path), channels, max_megapixels)
    if isinstance(size, int):
        factor = size / min(pixels.shape[:2])
        size = (round(pixels.shape[0] * factor), round(pixels.shape[1] * factor))
    if size:
        pixels = images.fitted(pixels, *size, fit)
    return pixels / np.float32(255)


if __name__ == "__main__":
    cli.run("explain", main, config.Explain)
