"""Pictures of any size as examples, and those with a mask each from where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from src.config import MaskData, PictureData
from src.data.augment import Augmentation
from src.data.dataset import DataError, DataSet
from src.data.decode import Labels, MaskSource, decode
from src.data.examples import Reader, Split, TrainingReader, counts_of, examples_of, label_counts
from src.data.python_calls import counted
from src.data.store import Example, Store, digests, scan_all

if TYPE_CHECKING:
    import tensorflow as tf

# Pictures that are put together at a time where all of them need not be.
_PART = 32


class Preparation(Protocol):
    """What training and evaluation make of a picture and of what belongs to it."""

    @property
    def height(self) -> int:
        """Of the training pictures, in pixels."""

    @property
    def width(self) -> int:
        """Likewise."""

    def __call__(
        self, image: np.ndarray, target: np.ndarray, /, seed: int, position: int
    ) -> Example:
        """The example for training; its random numbers follow from seed and position."""

    def still(self, image: np.ndarray, target: np.ndarray, /) -> Example:
        """The example for evaluation."""

    def equal(self, image: np.ndarray, target: np.ndarray, /, height: int, width: int) -> Example:
        """The example for evaluation, resized to a size."""


@dataclass(frozen=True)
class Pictures:
    """Examples out of a store, in a fixed order.

    Attributes:
        store: what holds them.
        preparation: what training and evaluation make of them.
        numbers: int `[examples]`, their places in the store.
        channels: 3 for colour, 1 for grey.
    """

    store: Store
    preparation: Preparation
    numbers: np.ndarray
    channels: int = 3

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, examples: slice | np.ndarray) -> Pictures:
        return replace(self, numbers=self.numbers[examples])

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels; None for a side that differs from picture to picture."""
        height, width = (
            int(sides[0]) if (sides == sides[0]).all() else None
            for sides in self.store.sizes[self.numbers].T
        )
        return height, width, self.channels

    @property
    def training_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what `training_reader` reads."""
        return self.preparation.height, self.preparation.width, self.channels

    def arrays(self) -> Split:
        """The examples in memory; of different sizes, all resized to the training size."""
        height, width, _ = self.image_shape
        if height is None or width is None:
            height, width, _ = self.training_shape
        equal = self.preparation.equal
        examples = map(self.store.example, self.numbers)
        return Split(*_stacked(equal(*example, height, width) for example in examples))

    def parts(self) -> Iterator[Split]:
        """The same, some at a time."""
        for begin in range(0, len(self), _PART):
            yield self[begin : begin + _PART].arrays()

    def reader(self) -> Reader:
        """Returns what reads examples of one size, or a single one, inside a TensorFlow graph."""

        def examples(indices: np.ndarray) -> Example:
            found = map(self.store.example, self.numbers[indices])
            return _stacked(self.preparation.still(*example) for example in found)

        return lambda indices: self._in_graph(examples, self.image_shape, indices)

    def training_reader(self, seed: int) -> TrainingReader:
        """Returns what reads and augments examples inside a TensorFlow graph."""

        def examples(indices: np.ndarray, positions: np.ndarray) -> Example:
            numbers = self.numbers[indices]
            return _stacked(
                self.preparation(*self.store.example(number), seed, int(position))
                for number, position in zip(numbers, positions, strict=True)
            )

        return lambda indices, positions: self._in_graph(
            examples, self.training_shape, indices, positions
        )

    def class_counts(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Split.class_counts`."""
        counts = self.store.counts[self.numbers]
        return counts_of(counts[:, :classes]) if counts.ndim == 2 else examples_of(counts, classes)

    def _in_graph(
        self,
        examples: Callable[..., Example],
        shape: tuple[int | None, int | None, int],
        *arguments: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Calls what reads examples from inside a TensorFlow graph."""
        import tensorflow as tf

        masks = self.store.counts.ndim == 2
        types = tf.uint8, tf.uint8 if masks else tf.int32
        images, targets = tf.numpy_function(counted(examples), arguments, types)
        batch = arguments[0].shape[0]
        sides = shape[:2] if masks else ()
        return tf.ensure_shape(images, (batch, *shape)), tf.ensure_shape(targets, (batch, *sides))


def load(
    data: PictureData, labels: Labels, sources: Mapping[str, Sequence[MaskSource]]
) -> tuple[dict[str, Pictures], dict[str, str]]:
    """Checks every picture and mask of every split.

    Args:
        data: the training size and the augmentation that the configuration asks for.
        labels: what the numbers in the masks mean.
        sources: of `train`, `val` and `test`, at least one each.

    Returns:
        The splits, and the SHA-256 of each.

    Raises:
        DataError: the first picture that is damaged or does not fit, by name.
    """

    def decoded(source: MaskSource, encoded: tuple[bytes, bytes]) -> Example:
        return decode(source, encoded, labels, data.max_megapixels)

    def count(mask: np.ndarray) -> np.ndarray:
        return label_counts(mask)[: labels.classes]

    stores = scan_all(sources, dict.fromkeys(sources, decoded), count, data.memory_budget)
    augmentation = _augmentation(data, labels.void, stores["train"])
    splits = {
        split: Pictures(store, augmentation, np.arange(len(store)))
        for split, store in stores.items()
    }
    return splits, digests(stores)


def described(
    data: MaskData,
    labels: Labels,
    sources: Mapping[str, Sequence[MaskSource]],
    source: str,
    location: Mapping[str, Any],
) -> DataSet:
    """The data set of pictures whose classes the configuration describes.

    Args:
        data: what it asks for.
        labels: what the numbers in the masks mean.
        sources: of `train`, `val` and `test`, at least one each.
        source: where they come from, for people.
        location: the options with which they are found again.

    Raises:
        DataError: the first picture that is damaged or does not fit, by name.
    """
    splits, digests = load(data, labels, sources)
    colours = data.colours and tuple((red, green, blue) for red, green, blue in data.colours)
    return DataSet(
        data.name,
        source,
        digests,
        tuple(data.names or map(str, range(data.classes))),
        "masks",
        splits,
        void=data.void,
        colours=colours or None,
        location=location,
    )


def _augmentation(data: PictureData, void: int | None, store: Store) -> Augmentation:
    """What the configuration asks for, once the sizes of the training pictures are known."""
    height, width = data.height, data.width
    if height is None or width is None:
        height, width = store.sizes[0].tolist()
        for source, size in zip(store.sources, store.sizes.tolist(), strict=True):
            if size != [height, width]:
                raise DataError(
                    f"{source.image}: expected {height}x{width} pixels like the first training "
                    "picture, or data.height= and data.width= for all of them; received "
                    f"{size[0]}x{size[1]}"
                )
    smallest, largest = data.scale or (1.0, 1.0)
    augmentation = Augmentation(
        *(height, width, data.fit, data.flip, (smallest, largest), void, data.colour)
    )
    for source, (h, w) in zip(store.sources, store.sizes.tolist(), strict=True):
        if void is None and augmentation.pads((h, w)):
            rows, columns = augmentation.window((h, w), smallest)
            raise DataError(
                f"{source.image}: expected at least {rows}x{columns} pixels for data.height="
                f"{height}, data.width={width} and data.scale={data.scale}, or a void label "
                f"for what lies outside; received {h}x{w}"
            )
    return augmentation


def _stacked(examples: Iterable[Example]) -> Example:
    images, targets = zip(*examples, strict=True)
    return np.stack(images), np.stack(targets)
