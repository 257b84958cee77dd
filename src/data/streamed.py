"""Examples that stay in their files: read by index whenever they are needed, and never all held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src import quiet
from src.data.dataset import DataError
from src.data.examples import AsTheyAre, Reader, Split, allocate
from src.data.options import untuned
from src.data.python_calls import counted
from src.data.tfrecords import Files, reason
from src.tensors import Tensor

if TYPE_CHECKING:
    import tensorflow as tf

# Takes records, strings `[batch]`; returns uint8 images and their targets.
Decode = Callable[["tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]

_PART_PIXELS = 2**19


@dataclass(frozen=True)
class Streamed(AsTheyAre):
    """Examples in TFRecord files, in a fixed order; implements `Examples`.

    Attributes:
        files: where they are.
        numbers: which of the records, int64 `[examples]`.
        decode: makes examples of records, inside a TensorFlow graph.
        image_shape: height, width and channels of every image.
        classes: labels are 0 to one less than this.
        origin: the folder and the name of the split, for messages.
    """

    files: Files
    numbers: np.ndarray
    decode: Decode
    image_shape: tuple[int, int, int]
    classes: int
    origin: tuple[Path, str]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, examples: slice | np.ndarray) -> Streamed:
        return replace(self, numbers=self.numbers[examples])

    def reader(self) -> Reader:
        """Returns what reads the examples of given indices inside a TensorFlow graph."""
        import tensorflow as tf

        numbers, files, shape = self.numbers, self.files, self.image_shape
        records_of = counted(lambda indices: files.records(numbers[indices]))

        def read(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            records = tf.numpy_function(records_of, [indices], tf.string)
            images, targets = self.decode(tf.ensure_shape(records, indices.shape))
            return tf.ensure_shape(images, (*indices.shape, *shape)), targets

        return read

    def parts(self) -> Iterator[Split]:
        """The examples in their order, some at a time, each of them checked.

        Raises:
            DataError: a record holds no example, or a label is out of range.
        """
        tf = quiet.tensorflow()
        folder, split = self.origin
        size = max(1, _PART_PIXELS // int(np.prod(self.image_shape)))
        read = self.reader()

        # As in `pipeline`, there is no control flow to rewrite.
        @tf.autograph.experimental.do_not_convert
        def part(begin: Tensor) -> tuple[Tensor, Tensor]:
            return read(tf.range(begin, tf.minimum(begin + size, len(self))))

        parts = (
            tf.data.Dataset.range(0, len(self), size)
            .map(part, num_parallel_calls=2, deterministic=True)
            .with_options(untuned())
        )
        try:
            for images, targets in parts.as_numpy_iterator():
                if targets.min() < 0 or targets.max() >= self.classes:
                    raise DataError(
                        f"{folder}: expected labels 0 to {self.classes - 1} in split {split}; "
                        f"received {targets.min()} to {targets.max()}"
                    )
                yield Split(images, targets)
        except tf.errors.OpError as error:
            raise DataError(
                f"{folder}: expected readable records in split {split}; received {reason(error)}"
            ) from error

    def class_counts(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Split.class_counts`, part by part."""
        counts = np.array([part.class_counts(classes) for part in self.parts()])
        pixels, where = counts.sum(axis=0)
        return pixels, where

    def arrays(self) -> Split:
        """The examples in memory."""
        held: list[np.ndarray] = []
        end = 0
        for part in self.parts():
            arrays = (part.images, part.targets)
            held = held or [allocate((len(self), *a.shape[1:]), a.dtype) for a in arrays]
            begin, end = end, end + len(part)
            for whole, some in zip(held, arrays, strict=True):
                whole[begin:end] = some
        return Split(*held)


def open_records(
    paths: Sequence[Path],
    count: int,
    decode: Decode,
    image_shape: tuple[int, int, int],
    classes: int,
    origin: tuple[Path, str],
) -> Streamed:
    """Opens files that must hold `count` records; otherwise as for `Streamed`.

    Raises:
        DataError: a file is missing or damaged, or the number of records is another.
    """
    files = Files(paths)
    if count == 0 or len(files) != count:
        folder, split = origin
        raise DataError(
            f"{folder}: expected {count:,} examples in split {split}, at least one; "
            f"received {len(files):,}"
        )
    return Streamed(files, np.arange(count), decode, image_shape, classes, origin)
