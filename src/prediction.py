"""What a trained model makes of a user's pictures; the data set is not needed.

What it was like, its classes and their colours, stands in the run's `results.json`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import keras
import numpy as np

from src import config, figures, results
from src.data import images
from src.data.reading import shown
from src.models.build import build, expect_memory
from src.training.checkpoints import Checkpoints
from src.training.mirrored import Mirrored
from src.training.model import TrainingModel

TABLE = "predictions.csv"
# Pictures of one size are predicted together, up to so many, and so many pixels of them.
_BATCH, _PIXELS = 32, 1 << 20
_FITS = {
    "crop": "the middle of each (data.fit=crop)",
    "pad": "on black (data.fit=pad)",
    "resize": "without regard to their ratio of sides",
}


@dataclass(frozen=True)
class Facts:
    """What a run has written down about its data.

    Attributes:
        image_shape: height, width and channels of its images; None for a side that differs.
        classes: names of the classes.
        colours: red, green and blue, 0 to 255, of each; None for the usual ones.
    """

    image_shape: tuple[int | None, int | None, int]
    classes: list[str]
    colours: list[list[int]] | None

    @classmethod
    def of(cls, folder: Path) -> Facts:
        """Reads them from a run's folder.

        Raises:
            UserError: the run has not written them down.
        """
        data = results.read_data_facts(folder)
        height, width, channels = data.image_shape
        return cls((height, width, channels or 1), data.classes, data.colours)


class Predictor:
    """A run's model, and how what it says is written down.

    Args:
        trained: the run's configuration.
        folder: the run's.
        checkpoint: `best` or `last`.
        max_megapixels: millions of pixels that a picture may have.

    Raises:
        UserError: the checkpoint is missing or damaged, or the run's data is not described.
    """

    def __init__(
        self, trained: config.Train, folder: Path, checkpoint: str, max_megapixels: int
    ) -> None:
        self.network, self.max_megapixels = trained.model, max_megapixels
        self.fit = trained.data.input_fit
        self.facts = Facts.of(folder)
        shape: Any = self.facts.image_shape
        if self.network.any_size:
            shape = (None, None, shape[-1])
        expect_memory(self.network, shape, len(self.facts.classes))
        bfloat16 = trained.trainer.precision == "bfloat16"
        keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
        model = build(self.network, shape, len(self.facts.classes))
        self.model = TrainingModel(model, trained.trainer.ema)
        Checkpoints(folder / "checkpoints").named(checkpoint).restore(self.model)
        flips = trained.trainer.test_time_flip
        self.evaluated = Mirrored(self.model) if flips else self.model

    def predict(self, found: Sequence[Path], output: Path, invert: bool) -> Iterator[str]:
        """Predicts from the pictures, a few of one size at once, and writes down each.

        Args:
            found: the pictures.
            output: folder to write to.
            invert: whether black and white change places first.

        Yields:
            A line about each picture, then lines about all of them.

        Raises:
            OSError: something cannot be written; what was written before stays.
            DataError: a picture cannot be read any more.
        """
        output.mkdir(parents=True, exist_ok=True)
        self.converted = self.dark = 0
        with self.model.averaged():
            if self.network.task == "segmentation":
                yield from self._segment(found, output, invert)
            elif self.network.task == "reconstruction":
                yield from self._reconstruct(found, output, invert)
            else:
                yield from self._classify(found, output, invert)
        height, width, channels = self.facts.image_shape
        if self.converted:
            colours = "grey" if channels == 1 else "red, green and blue"
            yield (
                f"{self.converted} of {len(found)} made {width}x{height} {colours} for the model, "
                f"{_FITS[self.fit]}"
            )
        if self.dark and not invert:
            yield (
                f"{self.dark} of {len(found)} brighter in the corners than in the centre: if the "
                "training pictures were light on dark, invert=true makes these so"
            )

    def _outputs(
        self, found: Sequence[Path], invert: bool
    ) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
        """Each picture's path, the model's input, floats in [0, 1], and its output."""
        batch: list[tuple[Path, np.ndarray]] = []
        for path, pixels in self._inputs(found, invert):
            most = max(1, min(_BATCH, _PIXELS // (pixels.shape[0] * pixels.shape[1])))
            if batch and (len(batch) >= most or batch[0][1].shape != pixels.shape):
                yield from self._at_once(batch)
                batch = []
            batch.append((path, pixels))
        if batch:
            yield from self._at_once(batch)

    def _at_once(
        self, batch: Sequence[tuple[Path, np.ndarray]]
    ) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
        """The outputs for pictures of one size, beside their paths and inputs."""
        outputs = self.evaluated.predict_on_batch(np.stack([pixels for _, pixels in batch]))
        for (path, pixels), output in zip(batch, outputs, strict=True):
            yield path, pixels, np.asarray(output, np.float32)

    def _inputs(self, found: Sequence[Path], invert: bool) -> Iterator[tuple[Path, np.ndarray]]:
        """Each picture's path, and the picture as the model takes it."""
        height, width, channels = self.facts.image_shape
        for path in found:
            picture = images.decode(images.read(path), shown(path), channels, self.max_megapixels)
            if not self.network.any_size:
                self.converted += picture.shape[:2] != (height, width)
                picture = images.fitted(picture, height or 0, width or 0, self.fit)
                self.dark += channels == 1 and images.dark_on_light(picture)
            if invert:
                picture = 255 - picture
            yield path, picture / np.float32(255)

    def _segment(self, found: Sequence[Path], output: Path, invert: bool) -> Iterator[str]:
        classes, colours = self.facts.classes, self.facts.colours
        for path, pixels, logits in self._outputs(found, invert):
            mask = logits.argmax(axis=-1)
            figures.save_mask(output / f"{path.stem}.png", mask, len(classes), colours)
            overlay = figures.overlay(pixels, mask, classes, colours)
            figures.save_png(output / f"{path.stem}-overlay.png", overlay)
            shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
            most = [c for c in np.argsort(-shares, kind="stable")[:3] if shares[c]]
            named = "  ".join(f"{classes[c]} {shares[c]:.1%}" for c in most)
            yield f"{shown(path.name)}  {mask.shape[1]}x{mask.shape[0]}  {named}"

    def _reconstruct(self, found: Sequence[Path], output: Path, invert: bool) -> Iterator[str]:
        for path, pixels, made in self._outputs(found, invert):
            levels = np.rint(255 * np.clip(made, 0, 1)).astype(np.uint8)
            rgb = np.broadcast_to(levels, (*levels.shape[:2], 3))
            figures.save_png(output / f"{path.stem}.png", rgb)
            sheet = figures.reconstructions(pixels[None], made[None])
            figures.save_png(output / f"{path.stem}-sheet.png", sheet)
            yield f"{shown(path.name)}  MSE {np.mean((made - pixels) ** 2):.4f}"

    def _classify(self, found: Sequence[Path], output: Path, invert: bool) -> Iterator[str]:
        classes = self.facts.classes
        with _table(output / TABLE) as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(["file", "label", "confidence", *classes])
            for path, _, logits in self._outputs(found, invert):
                probabilities = np.exp(logits - logits.max())
                probabilities /= probabilities.sum()
                first, *others = np.argsort(-probabilities, kind="stable")[:3]
                shares = [f"{share:.6f}" for share in probabilities]
                writer.writerow([shown(path.name), classes[first], shares[first], *shares])
                table.flush()
                also = ", ".join(f"{classes[c]} {probabilities[c]:.3f}" for c in others)
                yield f"{shown(path.name)}  {classes[first]} {probabilities[first]:.3f}  ({also})"


def _table(path: Path) -> TextIO:
    """Opens a table to be filled row by row; what had its name before is not written into."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return open(os.open(path, flags, 0o666), "w", encoding="utf-8", newline="")
