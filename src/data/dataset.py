"""What a data set is to the rest of the program: arrays, their names and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

from src.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

DIGITS = tuple("0123456789")
Value = TypeVar("Value")
# In bytes: EIGEN_MAX_ALIGN_BYTES of TensorFlow's builds.
_ALIGNMENT = 64

# Takes indices `[batch]`; returns uint8 images `[batch, height, width, channels]`, their targets.
Reader = Callable[["tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]
# Takes indices `[batch]` and positions `[batch]`: how many examples the run has seen before each.
TrainingReader = Callable[["tf.Tensor", "tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


class DataError(UserError):
    """A data set that cannot be had or read."""


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


class Lazily(Mapping[str, Value]):
    """Values by name, each of which is made when it is first asked for.

    Args:
        names: the names, in their order.
        make: makes the value of a name.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], Value]) -> None:
        self._names, self._make = tuple(names), make
        self._made: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class DataSet:
    """A data set as it was found on this machine.

    Attributes:
        name: the name it was asked for by.
        source: which of the possible sources served, for the run's record.
        digests: SHA-256 of what the splits hold, split by split.
        classes: names of the classes, in the order of the labels.
        kind: whether the targets are labels or masks.
        splits: `train`, `val` and `test`.
        void: label of the pixels that count neither in the loss nor in a metric, or None.
        colours: red, green and blue, 0 to 255, of each class in pictures; None for the usual ones.
        notice: one line to announce when a stand-in serves instead of the real data, else None.
        location: the section's options, absolute, with which a run finds the same data again
            without the environment.
    """

    name: str
    source: str
    digests: Mapping[str, str]
    classes: tuple[str, ...]
    kind: Literal["labels", "masks"]
    splits: Mapping[str, Examples]
    void: int | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None
    notice: str | None = None
    location: Mapping[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels of all that a model meets; None for a side that differs."""
        shapes = {split.image_shape for split in self.splits.values()}
        height, width, channels = (
            sizes.pop() if len(sizes) == 1 else None
            for sizes in map(set, zip(self.splits["train"].training_shape, *shapes, strict=True))
        )
        assert channels
        return height, width, channels

    def read(self) -> None:
        """Reads and checks every split, which otherwise waits until it is asked for.

        Raises:
            DataError: one of them is damaged or too small.
        """
        for split in self.splits:
            self.digests[split]

    @property
    def digest(self) -> str:
        """SHA-256 of the digests of all splits; reads those that have not been read yet."""
        lines = (f"{split} {digest}\n" for split, digest in self.digests.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest()


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
