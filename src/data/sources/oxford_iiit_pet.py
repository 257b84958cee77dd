"""Oxford-IIIT Pet (Parkhi et al. 2012) as TensorFlow Datasets (TFDS) prepares it.

Records are read by their place in TFDS' files, so that a picture can be had without those before
it. The masks hold 1 for the pet, 2 for the background and 3 for the border between them, which
the annotators left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src import files, quiet
from src.config import OxfordPet
from src.data import locate, pictures
from src.data.dataset import DataError, DataSet
from src.data.decode import Labels
from src.data.reading import shown
from src.data.splits import held_out
from src.data.tfds_info import describe
from src.data.tfrecords import Files

NAMES = ("pet", "background", "border")
_FEATURES = ("image", "segmentation_mask")


@dataclass(frozen=True)
class Record:
    """One example in TFRecord files.

    Attributes:
        files: the files of its split.
        number: its place in them.
    """

    files: Files
    number: int

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
        """The encoded image and the encoded mask.

        Raises:
            DataError: the record holds no such thing.
        """
        tf = quiet.tensorflow()
        data = self.files.record(self.number)
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


def load(data: OxfordPet) -> DataSet:
    """Finds the records, and checks every picture."""
    try:
        folder = locate.tfds_folder(data.name, data.dir)
    except locate.Absent as absent:
        raise DataError(f"{absent}: {locate.TFDS_REMEDY}") from absent
    official = find(folder)
    train, val = held_out(official["train"], data.val_examples)
    meaning = labels(data.border)
    records = {"train": train, "val": val, "test": official["test"]}
    splits, digests = pictures.load(data, meaning, records)
    return DataSet(
        data.name,
        f"tfds:{shown(folder)}",
        digests,
        NAMES[: meaning.classes],
        "masks",
        splits,
        void=meaning.void,
        location=locate.tfds_location(folder),
    )


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
    described = describe(folder)
    kinds = [described.features.get(name, ("nothing",))[0] for name in _FEATURES]
    if kinds != ["Image"] * len(_FEATURES) or not {"train", "test"} <= described.splits.keys():
        received = f"splits {list(described.splits)} of {list(described.features)}"
        raise DataError(
            f"{folder}: expected splits train and test of images {', '.join(_FEATURES)}; "
            f"received {files.clipped(received)}"
        )
    found = {}
    for split in ("train", "test"):
        opened, count = Files(described.splits[split].paths), described.splits[split].count
        found[split] = [Record(opened, number) for number in range(len(opened))]
        if not found[split] or len(opened) != count:
            raise DataError(
                f"{folder}: expected {count:,} examples in split {split}, at least "
                f"one; received {len(opened):,}"
            )
    return found
