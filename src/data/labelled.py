"""Pictures of any size with a label each: how they come to one size, and how training varies them.

A picture is reduced once, when it is decoded, and kept at that size: a folder of photographs then
takes no more memory than the small pictures that are made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from src.config import LabelledPictures
from src.config.data import Fit
from src.data import images, pictures
from src.data.augment import BLACK, between, cut, recoloured, resize_image, uniform
from src.data.dataset import DataError
from src.data.decode import Source
from src.data.examples import Around, TrainingReader
from src.data.python_calls import counted
from src.data.store import Decode, Example, digests, scan_all

if TYPE_CHECKING:
    import tensorflow as tf

# Training cuts its window out of a part of a long picture that is so many windows long.
_ROOM = 4.0


@dataclass(frozen=True)
class Variation:
    """What training and evaluation make of a picture that has been reduced by `images.fitted`.

    Attributes:
        height: of the pictures that a model sees, in pixels.
        width: likewise.
        fit: how a picture comes to that size.
        flip: whether half of the training pictures are mirrored left to right.
        scale: interval of the factor of enlargement.
        colour: how far brightness, contrast and saturation may be from 1.
    """

    height: int
    width: int
    fit: Fit
    flip: bool
    scale: tuple[float, float]
    colour: float

    @property
    def largest(self) -> float:
        """How much larger than the model's a picture is kept for training."""
        return max(1.0, self.scale[1])

    def __call__(
        self, image: np.ndarray, label: np.ndarray, seed: int, position: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Varies one example.

        Args:
            image: uint8 `[h, w, channels]`, reduced to `largest` times the size.
            label: its label.
            seed: the run's.
            position: how many examples the run has seen before.

        Returns:
            uint8 `[height, width, channels]` and the label.
        """
        factor, down, across, side, *colours = uniform(seed, position, 7)
        smallest, largest = self.scale
        factor = (smallest + (largest - smallest) * factor) / self.largest
        height, width = (max(1, round(length * factor)) for length in image.shape[:2])
        image = resize_image(image, height, width)
        corner = [
            between(min(0, room), max(0, room), chance)
            for room, chance in zip(
                (height - self.height, width - self.width), (down, across), strict=True
            )
        ]
        image = cut(image, corner, (self.height, self.width), BLACK)
        if self.flip and side < 0.5:
            image = image[:, ::-1]
        return recoloured(image, self.colour, colours), label

    def still(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The example for evaluation, `[height, width, channels]` and the label."""
        return images.fitted(image, self.height, self.width, self.fit), label

    def equal(
        self, image: np.ndarray, label: np.ndarray, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same: all pictures have one size."""
        del height, width
        return self.still(image, label)


@dataclass(frozen=True)
class Varied(Around):
    """Examples of one size wherever they are held, which training varies; implements `Examples`.

    Attributes:
        vary: what training makes of them; its size is theirs, and its factor 1.
    """

    vary: Variation

    def __getitem__(self, examples: slice | np.ndarray) -> Varied:
        return Varied(self.examples[examples], self.vary)

    def training_reader(self, seed: int) -> TrainingReader:
        """Returns what reads and varies examples inside a TensorFlow graph."""
        import tensorflow as tf

        plain = self.examples.reader()

        def varied(images: np.ndarray, labels: np.ndarray, positions: np.ndarray) -> np.ndarray:
            examples = zip(images, labels, positions, strict=True)
            return np.stack([self.vary(i, label, seed, int(p))[0] for i, label, p in examples])

        def read(indices: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images, labels = plain(indices)
            made = tf.numpy_function(counted(varied), [images, labels, positions], tf.uint8)
            return tf.ensure_shape(made, images.shape), labels

        return read


def variation(data: LabelledPictures, shape: tuple[int, int, int]) -> Variation:
    """What the configuration asks for, of pictures of a shape."""
    smallest, largest = data.scale or (1.0, 1.0)
    return Variation(*shape[:2], data.fit, data.flip, (smallest, largest), data.colour)


def load(
    data: LabelledPictures,
    shape: tuple[int, int, int],
    classes: int,
    sources: Mapping[str, Sequence[Source]],
) -> tuple[dict[str, pictures.Pictures], dict[str, str]]:
    """Checks every picture of every split.

    Args:
        data: what the configuration asks for.
        shape: height, width and channels of the pictures that a model sees.
        classes: labels are 0 to one less than this.
        sources: of `train`, `val` and `test`, at least one each.

    Returns:
        The splits, and the SHA-256 of each.

    Raises:
        DataError: the first picture that is damaged, by name.
    """
    height, width, channels = shape
    vary = variation(data, shape)

    def decoder(factor: float, room: float) -> Decode:
        sides = round(height * factor), round(width * factor)

        def decode(source: Source, encoded: tuple[bytes, bytes]) -> Example:
            image = images.decode(encoded[0], source.image, channels, data.max_megapixels)
            label = int(encoded[1])
            if not 0 <= label < classes:
                raise DataError(
                    f"{source.image}: expected labels 0 to {classes - 1}; received {label}"
                )
            return images.fitted(image, *sides, data.fit, room), np.array(label, np.int32)

        return decode

    exact = decoder(1.0, 1.0)
    decoders = {"train": decoder(vary.largest, _ROOM), "val": exact, "test": exact}
    stores = scan_all(sources, decoders, lambda label: label, data.memory_budget)
    splits = {
        split: pictures.Pictures(store.all_of(height, width), vary, np.arange(len(store)), channels)
        for split, store in stores.items()
    }
    return splits, digests(stores)
