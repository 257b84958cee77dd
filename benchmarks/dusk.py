"""What each part of the recipe `experiment=street` gives on made streets, tested at dusk.

    python -m benchmarks.dusk [--seeds 1] [--epochs 40]

The streets have what makes real ones hard: poles and signs of a few pixels, rare classes whose
colours are those of common ones, so that texture alone tells them apart, and test pictures that are
darker than the others and of another tint. A small network is trained on small windows; the parts
are added one by one. Printed is the mean IoU on validation and test, and on the test that of the
class `pole`: the mean over the seeds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import contest, mask_folder

_HEIGHT, _WIDTH = 120, 160
_SPLITS = {"train": 150, "val": 40, "test": 60}
_LIGHT = {"train": (0.85, 1.1, 0.03), "val": (0.85, 1.1, 0.03), "test": (0.4, 0.65, 0.15)}
_COLOURS = np.array(
    [
        *[(190, 200, 220), (130, 110, 100), (150, 145, 135), (95, 95, 100), (120, 112, 112)],
        *[(80, 110, 70), (150, 120, 110), (115, 105, 90), (110, 100, 120), (120, 100, 95)],
        (115, 95, 100),
    ],
    float,
)
# Label, how many there are at most, and the ranges of height, width and lower end below the kerb.
_THINGS = (
    (5, 3, (20, 50), (15, 50), (0, 1)),
    (7, 1, (8, 16), (20, 50), (0, 1)),
    (8, 3, (10, 24), (14, 36), (5, 35)),
    (2, 4, (30, 70), (1, 4), (4, 5)),
    (6, 2, (4, 8), (4, 8), (-40, -10)),
    (9, 2, (8, 20), (3, 7), (4, 20)),
    (10, 1, (8, 16), (5, 10), (4, 20)),
)
_BEFORE = (
    *("model.stride=8", "data.colour=0.0"),
    *("trainer.class_weights_power=1.0", "trainer.test_time_flip=false"),
)
# Each with those before it; the last is the experiment as it stands.
PARTS = {
    "stride 8, full class weights": _BEFORE,
    "and light and colour varied": (*_BEFORE[:1], *_BEFORE[2:]),
    "and square roots of the class weights": (*_BEFORE[:1], *_BEFORE[3:]),
    "and stride 4": _BEFORE[3:],
    "and mirror images in evaluation": (),
}


def main() -> None:
    """Writes the streets, trains on them and prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=40)
    asked = parser.parse_args()
    print("| | val | test | test, poles |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        mask_folder.write_drawn(Path(folder) / "streets", _SPLITS, draw)
        for number, (name, overrides) in enumerate(PARTS.items()):
            reached = [
                _reached(Path(folder), f"{number}-{seed}", [*overrides, f"seed={seed}"], asked)
                for seed in range(asked.seeds)
            ]
            means = (f"{statistics.mean(scores):.3f}" for scores in zip(*reached, strict=True))
            print(f"| {name} | {' | '.join(means)} |", flush=True)


def draw(split: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A street in the light of a split, and its mask, in which half of the upper edges are void."""
    mask = _mask(random)
    image = _image(mask, _LIGHT[split], random)
    edges = np.zeros(mask.shape, bool)
    edges[1:] = mask[1:] != mask[:-1]
    mask[edges & (random.random(mask.shape) < 0.5)] = mask_folder.VOID
    return image, mask


def _mask(random: np.random.Generator) -> np.ndarray:
    mask = np.ones((_HEIGHT, _WIDTH), np.uint8)
    horizon, kerb = (int(_HEIGHT * random.uniform(*at)) for at in ((0.2, 0.4), (0.5, 0.65)))
    mask[:horizon], mask[kerb:] = 0, 3
    mask[kerb : kerb + random.integers(4, 12)] = 4
    for label, most, *ranges in _THINGS:
        for _ in range(random.integers(0, most + 1)):
            height, width, below = (int(random.integers(*ends)) for ends in ranges)
            bottom, left = max(1, kerb + below), random.integers(0, _WIDTH - width)
            mask[max(0, bottom - height) : bottom, left : left + width] = label
    return mask


def _image(
    mask: np.ndarray, light: tuple[float, float, float], random: np.random.Generator
) -> np.ndarray:
    rows, columns = np.mgrid[:_HEIGHT, :_WIDTH]
    image = (_COLOURS + random.normal(0, 14, _COLOURS.shape))[mask]
    # Stripes of a width for each class, to one side or the other.
    across = np.where(mask % 2, 0.7, -0.7) * columns
    image += 14 * np.sin((0.25 + 0.22 * mask) * (rows + across))[..., None]
    image += random.normal(0, 18, image.shape)
    darkest, brightest, tint = light
    image *= random.uniform(darkest, brightest) * random.uniform(1 - tint, 1 + tint, 3)
    return np.clip(image, 0, 255).astype(np.uint8)


def _reached(
    folder: Path, name: str, overrides: list[str], asked: argparse.Namespace
) -> tuple[float, float, float]:
    results = contest.ours(
        [
            *("experiment=street", f"data.dir={folder / 'streets'}", "model.filters=8"),
            *("data.height=80", "data.width=112", "optimizer.warmup_steps=50"),
            *(f"trainer.epochs={asked.epochs}", *overrides),
        ],
        folder / name,
    )
    poles = results["evaluations"]["best-test"]["class_iou"]["pole"]
    metrics = results["metrics"]
    return metrics["val"]["mean_iou"], metrics["test"]["mean_iou"], poles


if __name__ == "__main__":
    main()
