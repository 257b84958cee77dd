"""Times what passes before the first step of a training, a whole evaluation, and predictions.

    python -m benchmarks.startup [rounds] [model ...]

Everything is timed from outside, by a command's end or by when its files appear, in turns with
`import tensorflow` alone, which nothing here can shorten. Prints medians in seconds, and what an
evaluation and a prediction take beyond that import. The data are MNIST, or what stands in for it;
the pictures to predict are noise of a digit's size.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

MODELS = ("lenet5", "lenet_mnist", "autoencoder")
POLL_SECONDS = 0.005
PICTURES = 1000


def timed(arguments: list[str], seen: dict[str, Path]) -> dict[str, float]:
    """Runs a command; returns when each of the files was first there, and when it ended."""
    times: dict[str, float] = {}
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            for name, path in seen.items():
                if name not in times and path.exists():
                    times[name] = time.perf_counter() - begun
            time.sleep(POLL_SECONDS)
        times["the end"] = time.perf_counter() - begun
        if process.returncode not in (0, 2):
            raise RuntimeError(f"{arguments} ended with status {process.returncode}")
    return times


def measured(model: str, folder: Path) -> dict[str, float]:
    """One round: seconds from the start of a command, by what had happened then."""
    bare = timed(["-c", "import tensorflow"], {})["the end"]
    refused = timed(["-m", "src.train", f"model={model}", "trainer.epochs=0"], {})["the end"]
    arguments = [f"model={model}", "trainer.steps=1", f"run_dir={folder}"]
    train = timed(
        ["-m", "src.train", *arguments],
        {
            "data read": folder / "config.yaml",
            "model built": folder / "results.json",
            "first step, validated and saved": folder / "checkpoints" / "best",
        },
    )
    evaluation = timed(["-m", "src.eval", f"run={folder}"], {})["the end"]
    one, many = (
        timed(["-m", "src.predict", f"run={folder}", f"input={pictures}", f"output={output}"], {})
        for pictures, output in (
            (written(folder.parent / "one", 1), folder.parent / "of-one"),
            (written(folder.parent / "many", PICTURES), folder.parent / "of-many"),
        )
    )
    return {
        "import tensorflow": bare,
        "src.train, a mistake refused": refused,
        **{f"src.train, {name}": seconds for name, seconds in train.items()},
        "src.eval": evaluation,
        "src.eval beyond import tensorflow": evaluation - bare,
        "src.predict of a picture": one["the end"],
        "src.predict of a picture beyond the import": one["the end"] - bare,
        f"src.predict, {PICTURES - 1:,} pictures more": many["the end"] - one["the end"],
    }


def written(folder: Path, count: int) -> Path:
    """Writes pictures of 28x28 pixels; returns their folder."""
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (count, 28, 28))):
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def main(rounds: int, models: tuple[str, ...]) -> None:
    """Prints a table of medians, a row for each part and a column for each model."""
    medians: dict[str, dict[str, float]] = {}
    for model in models:
        taken = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as scratch:
                taken.append(measured(model, Path(scratch) / "run"))
        medians[model] = {name: statistics.median(t[name] for t in taken) for name in taken[0]}
    print(f"{'seconds, median of ' + str(rounds):48}" + "".join(f"{m:>13}" for m in models))
    for part in next(iter(medians.values())):
        print(f"{part:48}" + "".join(f"{medians[model][part]:13.2f}" for model in models))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, tuple(sys.argv[2:]) or MODELS)
