"""Pictures of any size with a mask each: checked once, kept in memory as far as they fit.

Whether a picture is kept or decoded again, its pixels are the same: one decoder serves both, and
it is Pillow, which reads the numbers of a palette's entries where TensorFlow reads their colours.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from src.config import PictureData
from src.data.augment import Augmentation, resize
from src.data.dataset import DataError, Reader, Split, TrainingReader, counts_of, label_counts
from src.data.decode import Labels, Source, decode
from src.data.python_calls import counted

if TYPE_CHECKING:
    import tensorflow as tf

Example = tuple[np.ndarray, np.ndarray]

# Pictures that are put together at a time where all of them need not be.
_PART = 32


@dataclass(frozen=True)
class Store:
    """All pictures of a split, checked.

    Attributes:
        sources: where each comes from.
        labels: what the numbers in the masks mean.
        kept: image `[height, width, 3]` and mask `[height, width]`, or None where there was no
            room: those are decoded whenever they are read.
        sizes: int `[pictures, 2]`, height and width.
        counts: int64 `[pictures, classes]`, pixels of each class.
        digest: SHA-256 of the keys and of the encoded images and masks, in order.
        max_megapixels: millions of pixels that a picture may have.
    """

    sources: Sequence[Source]
    labels: Labels
    kept: Sequence[Example | None]
    sizes: np.ndarray
    counts: np.ndarray
    digest: bytes
    max_megapixels: int

    def example(self, number: int) -> Example:
        """Image and mask."""
        source = self.sources[number]
        kept = self.kept[number]
        return kept or decode(source, source.read(), self.labels, self.max_megapixels)


@dataclass(frozen=True)
class Pictures:
    """Examples out of a store, in a fixed order.

    Attributes:
        store: what holds them.
        augmentation: what training makes of them.
        numbers: int `[examples]`, their places in the store.
    """

    store: Store
    augmentation: Augmentation
    numbers: np.ndarray

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
        return height, width, 3

    @property
    def training_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what `training_reader` reads."""
        return self.augmentation.height, self.augmentation.width, 3

    def arrays(self) -> Split:
        """The examples in memory; of different sizes, all resized to the training size."""
        height, width, _ = self.image_shape
        if height is None or width is None:
            height, width, _ = self.training_shape
        examples = map(self.store.example, self.numbers)
        return Split(*_stacked(resize(*example, height, width) for example in examples))

    def parts(self) -> Iterator[Split]:
        """The same, some at a time."""
        for begin in range(0, len(self), _PART):
            yield self[begin : begin + _PART].arrays()

    def reader(self) -> Reader:
        """Returns what reads examples of one size, or a single one, inside a TensorFlow graph."""

        def examples(indices: np.ndarray) -> Example:
            return _stacked(map(self.store.example, self.numbers[indices]))

        return lambda indices: _in_graph(examples, self.image_shape, indices)

    def training_reader(self, seed: int) -> TrainingReader:
        """Returns what reads and augments examples inside a TensorFlow graph."""

        def examples(indices: np.ndarray, positions: np.ndarray) -> Example:
            numbers = self.numbers[indices]
            return _stacked(
                self.augmentation(*self.store.example(number), seed, int(position))
                for number, position in zip(numbers, positions, strict=True)
            )

        return lambda indices, positions: _in_graph(
            examples, self.training_shape, indices, positions
        )

    def class_counts(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of each class, and pixels of any class in the masks that hold it."""
        return counts_of(self.store.counts[self.numbers, :classes])


def load(
    data: PictureData, labels: Labels, sources: Mapping[str, Sequence[Source]]
) -> tuple[dict[str, Pictures], dict[str, str]]:
    """Checks every picture of every split.

    Args:
        data: the training size and the augmentation that the configuration asks for.
        labels: what the numbers in the masks mean.
        sources: of `train`, `val` and `test`, at least one each.

    Returns:
        The splits, and the SHA-256 of each.

    Raises:
        DataError: the first picture that is damaged or does not fit, by name.
    """
    room = data.memory_budget * 2**20
    stores = {}
    for split, some in sources.items():
        stores[split] = store = scan(some, labels, room, split, data.max_megapixels)
        room -= sum(image.nbytes + mask.nbytes for image, mask in filter(None, store.kept))
    augmentation = _augmentation(data, stores["train"])
    splits = {
        split: Pictures(store, augmentation, np.arange(len(store.sources)))
        for split, store in stores.items()
    }
    return splits, {split: store.digest.hex() for split, store in stores.items()}


def scan(
    sources: Sequence[Source], labels: Labels, room: int, what: str, max_megapixels: int
) -> Store:
    """Decodes and checks pictures in parallel, and keeps what fits into `room` bytes.

    Raises:
        DataError: the first picture that is damaged or whose mask does not fit it.
    """

    def examine(source: Source) -> tuple[Example, np.ndarray, bytes]:
        encoded = source.read()
        example = decode(source, encoded, labels, max_megapixels)
        digest = hashlib.sha256(source.key.encode("utf-8", "surrogateescape"))
        for part in encoded:
            digest.update(hashlib.sha256(part).digest())
        return example, label_counts(example[1])[: labels.classes], digest.digest()

    kept: list[Example | None] = []
    sizes, counts, total = [], [], hashlib.sha256()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for (image, mask), count, digest in tqdm(
            pool.map(examine, sources),
            f"checking {what}",
            len(sources),
            leave=False,
            disable=not sys.stderr.isatty(),
        ):
            room -= image.nbytes + mask.nbytes
            kept.append((image, mask) if room >= 0 else None)
            sizes.append(mask.shape)
            counts.append(count)
            total.update(digest)
    finally:
        pool.shutdown(cancel_futures=True)
    sizes_, counts_ = np.array(sizes), np.array(counts)
    return Store(sources, labels, kept, sizes_, counts_, total.digest(), max_megapixels)


def _augmentation(data: PictureData, store: Store) -> Augmentation:
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
    void = store.labels.void
    augmentation = Augmentation(height, width, data.fit, data.flip, (smallest, largest), void)
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
    images, masks = zip(*examples, strict=True)
    return np.stack(images), np.stack(masks)


def _in_graph(
    examples: Callable[..., Example],
    shape: tuple[int | None, int | None, int],
    *arguments: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Calls what reads examples from inside a TensorFlow graph."""
    import tensorflow as tf

    images, masks = tf.numpy_function(counted(examples), arguments, (tf.uint8, tf.uint8))
    batch = arguments[0].shape[0]
    return tf.ensure_shape(images, (batch, *shape)), tf.ensure_shape(masks, (batch, *shape[:2]))
