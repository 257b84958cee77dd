"""Examples in the files that TensorFlow Datasets (TFDS) has prepared, read by their place.

A picture can then be had without those before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from src import files, quiet
from src.data.dataset import DataError
from src.data.tfds_info import Description
from src.data.tfrecords import Files

MASKED = ("image", "segmentation_mask")


@dataclass(frozen=True)
class Record:
    """One example in TFRecord files.

    Attributes:
        files: the files of its split.
        number: its place in them.
        features: names of the image and of the mask or label in the example.
    """

    files: Files
    number: int
    features: tuple[str, str] = MASKED

    @property
    def _path(self) -> Path:
        return self.files.paths[self.files.file[self.number]]

    @property
    def _start(self) -> int:
        return int(self.files.begin[self.number])

    @property
    def key(self) -> str:
        """The file's name and the example's first byte."""
        return f"{self._path.name} {self._start}"

    @property
    def image(self) -> str:
        """What a message calls the image."""
        return f"{self._path}, image at byte {self._start}"

    @property
    def mask(self) -> str:
        """What a message calls the mask."""
        return f"{self._path}, mask at byte {self._start}"

    def read(self) -> tuple[bytes, bytes]:
        """The encoded image, and the encoded mask or the label in decimal digits.

        Raises:
            DataError: the record holds no such thing.
        """
        tf = quiet.tensorflow()
        data = self.files.record(self.number)
        try:
            features = tf.train.Example.FromString(data).features.feature
            image, target = (features[name] for name in self.features)
            if target.HasField("int64_list"):
                return image.bytes_list.value[0], str(target.int64_list.value[0]).encode()
            return image.bytes_list.value[0], target.bytes_list.value[0]
        # A parser of a stranger's bytes: whatever it raises, there is no example.
        except Exception as error:
            raise DataError(
                f"{self.image}: expected an example with {' and '.join(self.features)}; "
                f"received {type(error).__name__}"
            ) from error


def records(
    folder: Path, described: Description, names: Mapping[str, str], features: tuple[str, str]
) -> dict[str, list[Record]]:
    """Finds the records of a prepared folder.

    Args:
        folder: `<root>/<name>/<version>`.
        described: what it says about itself.
        names: TFDS' name of each split.
        features: names of the image and of the mask or label.

    Returns:
        The records of each split, at least one, in the order of TFDS' files.

    Raises:
        DataError: there is no such split, or its files are damaged.
    """
    found = {}
    for split, name in names.items():
        if name not in described.splits:
            raise DataError(
                f"{folder}: expected a split {name} to be {split}; received "
                f"{files.clipped(', '.join(described.splits))}"
            )
        opened, count = Files(described.splits[name].paths), described.splits[name].count
        found[split] = [Record(opened, number, features) for number in range(len(opened))]
        if not found[split] or len(opened) != count:
            raise DataError(
                f"{folder}: expected {count:,} examples in split {name}, at least "
                f"one; received {len(opened):,}"
            )
    return found
