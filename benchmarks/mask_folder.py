"""Times an epoch on a folder of street-like pictures, and how much of it the network takes.

    python -m benchmarks.mask_folder [arguments of src.train]

Writes pictures of 360x480 pixels with 11 classes and a void border, in CamVid's numbers and
layout, to a temporary folder, and trains `experiment=street` on them for some steps, in turns as
`src.train` does and on one batch over and over, which costs the input nothing. Prints a line of
JSON: seconds to check the folder, seconds an epoch of each, the network's share (medians of the
rounds), and the most memory that the process has taken, in MiB.
"""

from __future__ import annotations

import itertools
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES, VOID = 11, 11
PICTURES = {"train": 367, "val": 101, "test": 233}
ROUNDS, STEPS = 5, 6

Draw = Callable[[str, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def write(folder: Path, pictures: dict[str, int], height: int, width: int, seed: int = 0) -> None:
    """Writes scenes: sky over buildings over road, and on it boxes, smaller the rarer a class is.

    Every class has a colour of its own, to which noise is added; edges are void.

    Args:
        folder: where to.
        pictures: how many of each split.
        height: in pixels.
        width: in pixels.
        seed: of everything.
    """
    colours = np.random.default_rng(seed).integers(40, 216, (CLASSES + 1, 3))

    def draw(split: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        del split
        mask = _scene(height, width, random)
        image = colours[mask] + random.normal(0, 25, (height, width, 3))
        return np.clip(image, 0, 255).astype(np.uint8), mask

    write_drawn(folder, pictures, draw, (seed,))


def write_drawn(
    folder: Path, pictures: Mapping[str, int], draw: Draw, seed: tuple[int, ...] = ()
) -> None:
    """Writes `<split>/<number>.png` and `<split>annot/<number>.png`.

    Args:
        folder: where to.
        pictures: how many of each split.
        draw: makes a picture of a split, and its mask.
        seed: of the random numbers, together with the place of the split.
    """
    for number, (split, count) in enumerate(pictures.items()):
        random = np.random.default_rng([*seed, number])
        for kind in (split, f"{split}annot"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, mask = draw(split, random)
            name = f"{index:04d}.png"
            Image.fromarray(image).save(folder / split / name, compress_level=1)
            Image.fromarray(mask).save(folder / f"{split}annot" / name)


def _scene(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    mask = np.empty((height, width), np.uint8)
    horizon, kerb = (int(height * random.uniform(*at)) for at in ((0.2, 0.4), (0.5, 0.7)))
    mask[:horizon], mask[horizon:kerb], mask[kerb:] = 0, 1, 3
    for label in range(2, CLASSES):
        # Rarer and smaller the higher the label.
        if random.random() < 1.2 - label / 15:
            h, w = (max(2, int(side * random.uniform(0.5, 1.5) / label)) for side in mask.shape)
            top, left = random.integers(0, [height - h + 1, width - w + 1])
            mask[top : top + h, left : left + w] = label
    edges = np.zeros(mask.shape, bool)
    edges[1:] |= mask[1:] != mask[:-1]
    edges[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    mask[edges] = VOID
    return mask


def main() -> None:
    """Writes the folder, trains and prints."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), PICTURES, 360, 480)
        print(json.dumps(_measure(sys.argv[1:], folder)))


def _measure(arguments: list[str], folder: str) -> dict[str, float]:
    from benchmarks import contest
    from src import quiet
    from src.data import sources

    settings = contest.composed("experiment=street", f"data.dir={folder}", *arguments)
    begun = time.perf_counter()
    data = sources.load(settings.data)
    measured = {"check_seconds": time.perf_counter() - begun}
    quiet.tensorflow()
    from src import experiment
    from src.data import pipeline
    from src.training import optimizers
    from src.training.plan import Plan

    settings = experiment.resolved(settings, data)
    run = experiment.Experiment(settings, Path(folder) / "run", data)
    train = data.splits["train"]
    plan = Plan.of(settings.trainer, len(train))
    steps = ROUNDS * STEPS
    batches = pipeline.training_batches(train, run.task.preprocess, plan.batch_size, 0, 0, steps)
    contenders = {"epoch": iter(batches), "network": iter(batches.take(1).cache().repeat(steps))}
    run.compile(run.model, optimizers.build(settings.optimizer, plan.steps, plan.steps_per_epoch))
    run.model.train_on_batch(*next(contenders["network"]))  # Traces and compiles.
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            begun = time.perf_counter()
            for batch in itertools.islice(contender, STEPS):
                run.model.train_on_batch(*batch)
            passed = time.perf_counter() - begun
            seconds[name].append(passed / STEPS * plan.steps_per_epoch)
    measured |= {f"{name}_seconds": statistics.median(some) for name, some in seconds.items()}
    pairs = zip(seconds["network"], seconds["epoch"], strict=True)
    measured["network_share"] = statistics.median(network / whole for network, whole in pairs)
    measured["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {name: round(value, 3) for name, value in measured.items()}


if __name__ == "__main__":
    main()
