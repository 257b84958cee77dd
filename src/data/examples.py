"""Examples in a fixed order: what every split can do, and those that are held in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# In bytes: EIGEN_MAX_ALIGN_BYTES of TensorFlow's builds.
_ALIGNMENT = 64

# Takes indices `[batch]`; returns uint8 images `[batch, height, width, channels]`, their targets.
Reader = Callable[["tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]
# Takes indices `[batch]` and positions `[batch]`: how many examples the run has seen before each.
TrainingReader = Callable[["tf.Tensor", "tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


class Examples(Protocol):
    """Examples in a fixed order, wherever they are held."""

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels; None for a side that differs from picture to picture."""

    @property
    def training_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what `training_reader` reads."""

    def __len__(self) -> int: ...

    def __getitem__(self, examples: slice | np.ndarray) -> Examples: ...

    def arrays(self) -> Split:
        """The examples in memory; of different sizes, all resized to the training size."""

    def parts(self) -> Iterator[Split]:
        """The examples in their order, some at a time in memory."""

    def reader(self) -> Reader:
        """Returns what reads the examples of given indices inside a TensorFlow graph."""

    def training_reader(self, seed: int) -> TrainingReader:
        """Returns what reads and augments examples, at random by seed and position."""

    def class_counts(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """What masks (`counts_of`) or labels (`examples_of`) hold of each class."""


class AsTheyAre:
    """What examples that training does not augment have in common."""

    image_shape: Any
    reader: Callable[[], Reader]

    @property
    def training_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.image_shape

    def training_reader(self, seed: int) -> TrainingReader:
        """Returns the same for training, which changes nothing about the examples."""
        read = self.reader()
        return lambda indices, positions: read(indices)


@dataclass(frozen=True)
class Around(AsTheyAre):
    """Other examples of one size, of which something is read or made in another way.

    Attributes:
        examples: those.
    """

    examples: Examples

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def image_shape(self) -> Any:
        """Height, width and channels of every image."""
        return self.examples.image_shape

    def arrays(self) -> Split:
        """The examples in memory."""
        return self.examples.arrays()

    def parts(self) -> Iterator[Split]:
        """The examples in their order, some at a time in memory."""
        return self.examples.parts()

    def reader(self) -> Reader:
        """Returns what reads the examples of given indices inside a TensorFlow graph."""
        return self.examples.reader()

    def class_counts(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """What the targets hold of each class."""
        return self.examples.class_counts(classes)


@dataclass(frozen=True)
class Split(AsTheyAre):
    """Examples in a fixed order, held in memory.

    Attributes:
        images: uint8 `[examples, height, width, channels]`, 0 to 255.
        targets: int32 labels `[examples]`, or uint8 masks `[examples, height, width]`.
    """

    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, examples: slice | np.ndarray) -> Split:
        return Split(self.images[examples], self.targets[examples])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def arrays(self) -> Split:
        """The examples in memory."""
        return self

    def parts(self) -> Iterator[Split]:
        """The examples in their order, all at once: they are in memory anyway."""
        yield self

    def reader(self) -> Reader:
        """Returns what gathers the examples of given indices inside a TensorFlow graph."""
        import tensorflow as tf

        # `tf.constant` would take twice the memory of an array beside it.
        images, targets = (
            tf.experimental.dlpack.from_dlpack(_aligned(array).__dlpack__())
            for array in (self.images, self.targets)
        )
        return lambda indices: (tf.gather(images, indices), tf.gather(targets, indices))

    def class_counts(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """What masks (`counts_of`) or labels (`examples_of`) hold of each class."""
        if self.targets.ndim == 1:
            return examples_of(self.targets, classes)
        return counts_of(np.array([label_counts(mask)[:classes] for mask in self.targets]))


def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array to be filled, which begins where TensorFlow's kernels want memory to begin."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + size].view(dtype).reshape(shape)


def _aligned(array: np.ndarray) -> np.ndarray:
    """The array itself, if TensorFlow can use its memory as it is, or else a copy."""
    if array.flags.c_contiguous and array.flags.writeable and not array.ctypes.data % _ALIGNMENT:
        return array
    copy = allocate(array.shape, array.dtype)
    copy[...] = array
    return copy


def label_counts(mask: np.ndarray) -> np.ndarray:
    """How many pixels of a uint8 mask have each label, int64 `[256]`."""
    return np.bincount(mask.ravel(), minlength=256)


def counts_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adds up what median frequency balancing needs (Eigen and Fergus 2015, section 6.3.2).

    Args:
        counts: pixels of each class in each mask, int64 `[masks, classes]`; void counts nowhere.

    Returns:
        Pixels of each class, and the pixels of any class in the masks that hold it; both int64
        `[classes]`. Their ratio is a class' frequency.
    """
    return counts.sum(axis=0), (counts > 0).T @ counts.sum(axis=1)


def examples_of(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of the examples have each label, and how many examples there are, `[classes]`."""
    return np.bincount(labels, minlength=classes), np.full(classes, len(labels))
