"""Oxford-IIIT Pet (Parkhi et al. 2012) as TensorFlow Datasets (TFDS) prepares it.

The masks hold 1 for the pet, 2 for the background and 3 for the border between them, which
the annotators left open.
"""

from __future__ import annotations

from pathlib import Path

from src import files
from src.config import OxfordPet
from src.data import locate, pictures
from src.data.dataset import DataError, DataSet
from src.data.decode import Labels
from src.data.reading import shown
from src.data.records import MASKED as _FEATURES
from src.data.records import Record, records
from src.data.splits import held_out
from src.data.tfds_info import describe

NAMES = ("pet", "background", "border")


def load(data: OxfordPet) -> DataSet:
    """Finds the records, and checks every picture."""
    try:
        folder = locate.tfds_folder(data.name, data.dir)
    except locate.Absent as absent:
        raise DataError(f"{absent}: {locate.TFDS_REMEDY}") from absent
    official = find(folder)
    train, val = held_out(official["train"], data.val_examples)
    meaning = labels(data.border)
    sources = {"train": train, "val": val, "test": official["test"]}
    splits, digests = pictures.load(data, meaning, sources)
    return DataSet(
        data.name,
        f"tfds:{shown(folder)}",
        digests,
        NAMES[: meaning.classes],
        "masks",
        splits,
        void=meaning.void,
        location=locate.tfds_location(folder, data.name),
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
    return records(folder, described, {name: name for name in ("train", "test")}, _FEATURES)
