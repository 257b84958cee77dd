"""Oxford-IIIT Pet (Parkhi et al. 2012) as TensorFlow Datasets (TFDS) prepares it.

Records are read by their place in TFDS' files, so that a picture can be had without those before
it. The masks hold 1 for the pet, 2 for the background and 3 for the border between them, which
the annotators left open.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from src import quiet
from src.data.dataset import DataError
from src.data.decode import Labels

NAMES = ("pet", "background", "border")
_FEATURES = ("image", "segmentation_mask")
# A record of TFRecord: its length, a checksum of that, the record, its checksum.
_LENGTH, _HEAD, _TAIL = struct.Struct("<Q"), 12, 4


@dataclass(frozen=True)
class Record:
    """One example in a TFRecord file.

    Attributes:
        path: the file.
        start: first byte of the example.
        length: its length in bytes.
    """

    path: Path
    start: int
    length: int

    @property
    def key(self) -> str:
        """The file's name and the example's first byte."""
        return f"{self.path.name} {self.start}"

    @property
    def image(self) -> str:
        """What a message calls the image."""
        return f"{self.path}, image at byte {self.start}"

    @property
    def mask(self) -> str:
        """What a message calls the mask."""
        return f"{self.path}, mask at byte {self.start}"

    def read(self) -> tuple[bytes, bytes]:
        """The encoded image and the encoded mask.

        Raises:
            DataError: the record holds no such thing.
        """
        import tensorflow as tf

        with self.path.open("rb") as file:
            file.seek(self.start)
            data = file.read(self.length)
        try:
            features = tf.train.Example.FromString(data).features.feature
            image, mask = (features[name].bytes_list.value[0] for name in _FEATURES)
        # A parser of a stranger's bytes: whatever it raises, there is no example.
        except Exception as error:
            raise DataError(
                f"{self.image}: expected an example with an image and a segmentation_mask; "
                f"received {type(error).__name__}"
            ) from error
        return image, mask


def labels(border: str) -> Labels:
    """What the masks mean: three classes, or two and the border void."""
    return Labels(3, None, first=1) if border == "class" else Labels(2, 2, first=1)


def find(folder: Path) -> dict[str, list[Record]]:
    """Finds the records of a prepared folder.

    Args:
        folder: `<root>/oxford_iiit_pet/<version>`.

    Returns:
        TFDS' official splits `train` and `test`, in the order of its files.

    Raises:
        DataError: the folder's description or its files are damaged, or are of other data.
    """
    quiet.tensorflow()
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        features = set(builder.info.features)
        infos = {split: builder.info.splits[split] for split in ("train", "test")}
        files = {split: [Path(path) for path in info.filepaths] for split, info in infos.items()}
        known = builder.info.file_format.value == "tfrecord" and features >= set(_FEATURES)
    # What TFDS raises about a damaged description is not documented: whatever it is, the
    # description could not be read.
    except Exception as error:
        raise DataError(
            f"{folder}: expected a readable description of splits train and test; "
            f"received {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error
    if not known:
        raise DataError(
            f"{folder}: expected tfrecord files of features {', '.join(_FEATURES)}; "
            f"received {builder.info.file_format.value} files of {', '.join(sorted(features))}"
        )
    found = {}
    for split, info in infos.items():
        found[split] = [record for path in files[split] for record in records(path)]
        if not found[split] or len(found[split]) != info.num_examples:
            raise DataError(
                f"{folder}: expected {info.num_examples:,} examples in split {split}, at least "
                f"one; received {len(found[split]):,}"
            )
    return found


def records(path: Path) -> list[Record]:
    """Finds where each record of a TFRecord file lies.

    Raises:
        DataError: the file cannot be read or ends inside a record.
    """
    found: list[Record] = []
    try:
        size, start = path.stat().st_size, 0
        with path.open("rb") as file:
            while start < size:
                file.seek(start)
                (length,) = _LENGTH.unpack(file.read(_LENGTH.size).ljust(_LENGTH.size, b"\xff"))
                found.append(Record(path, start + _HEAD, length))
                start += _HEAD + length + _TAIL
    except OSError as error:
        raise DataError(f"{path}: expected to read it; received {error.strerror}") from error
    if start > size:
        raise DataError(f"{path}: expected whole records; received a file that ends inside of one")
    return found
