"""Any data set of TensorFlow Datasets (TFDS) with an image, and a label or a mask.

TFDS prepares it where it is not prepared yet; the files are read here. A folder that a stranger has
prepared runs no code: of its description only names and sizes are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src import files
from src.config import Tfds, TfdsMasks
from src.config.datasets.tfds import BUILDER
from src.data import labelled, locate, pictures, prepared
from src.data.dataset import DataError, DataSet, Lazily
from src.data.decode import Labels
from src.data.examples import Examples
from src.data.reading import regular_file, shown
from src.data.records import Record, records
from src.data.splits import digests as digests_of
from src.data.streamed import Streamed
from src.data.tfds_info import Description, describe

_VALIDATION = ("validation", "valid", "val", "dev")
_LABEL_BYTES = 4
_MOST_NAMES = 1 << 20
_MOST_CLASSES = 100_000


def load(data: Tfds | TfdsMasks) -> DataSet:
    """Finds the records, and checks every picture."""
    folder, builder = _folder(data)
    described = describe(folder)
    found = _splits(folder, described, data)
    location: dict[str, Any] = dict(locate.tfds_location(folder, builder))
    location["builder"] = f"{builder}:{folder.name}"
    source = f"tfds:{shown(folder)}"
    if isinstance(data, TfdsMasks):
        labels = Labels(data.classes, data.void, data.first)
        return pictures.described(data, labels, found, source, location)
    names, shape = _names(folder, described, data), _shape(folder, described, data)
    location |= dict(zip(("height", "width", "channels"), shape, strict=True))
    location["names"] = list(names)
    digests: Mapping[str, str]
    splits: Mapping[str, Examples]
    if data.scale is None and _alike(found["train"][0], described, shape):
        splits = _in_batches(folder, found, shape, len(names), data)
        digests = digests_of(splits)
    else:
        splits, digests = labelled.load(data, shape, len(names), found)
    return DataSet(data.name, source, digests, names, "labels", splits, location=location)


def _alike(first: Record, described: Description, shape: tuple[int, int, int]) -> bool:
    """Whether all pictures are PNG of the shape that the model sees, as the first of them is."""
    _, own = described.features[first.features[0]]
    return own == shape and first.read()[0].startswith(prepared.png_header(shape))


def _in_batches(
    folder: Path,
    found: Mapping[str, Sequence[Record]],
    shape: tuple[int, int, int],
    classes: int,
    data: Tfds,
) -> Mapping[str, Examples]:
    """Pictures of one format and shape, which TensorFlow decodes in batches, ten times as fast."""
    count = sum(map(len, found.values()))
    held = count * (math.prod(shape) + _LABEL_BYTES) <= data.memory_budget * 2**20
    vary = labelled.variation(data, shape)

    def split(name: str) -> Examples:
        first, numbers = found[name][0], np.array([record.number for record in found[name]])
        decode = prepared.decoder(shape, classes, first.features)
        streamed = Streamed(first.files, numbers, decode, shape, classes, (folder, name))
        examples = streamed.arrays() if held else streamed
        return labelled.Varied(examples, vary) if data.flip or data.colour else examples

    return Lazily(found, split)


def _folder(data: Tfds | TfdsMasks) -> tuple[Path, str]:
    """The prepared folder, and the builder's name and config."""
    match = BUILDER.fullmatch(data.builder or "")
    assert match  # The section has checked it.
    try:
        folder = locate.tfds_folder(match["name"], data.dir, match["version"])
    except locate.Absent as absent:
        raise DataError(f"{absent}: {locate.TFDS_REMEDY}") from absent
    builder = match["name"].partition("/")[0]
    # Between the builder's folder and the version's there may be the config's.
    config = "" if folder.parent.name == builder else f"/{folder.parent.name}"
    return folder, builder + config


def _splits(
    folder: Path, described: Description, data: Tfds | TfdsMasks
) -> dict[str, Sequence[Record]]:
    """The records of train, val and test; a split that is missing is cut from the end of train.

    TFDS has shuffled the examples when it prepared them.
    """
    target, kind = (
        (data.mask, "Image") if isinstance(data, TfdsMasks) else (data.label, "ClassLabel")
    )
    for feature, wanted in ((data.image, "Image"), (target, kind)):
        received, _ = described.features.get(feature, ("nothing", ()))
        if received != wanted:
            listed = ", ".join(f"{name} ({of})" for name, (of, _) in described.features.items())
            raise DataError(
                f"{folder}: expected a feature {feature} of kind {wanted}; received "
                f"{files.clipped(listed)}"
            )
    known = described.splits
    names = {
        "train": data.train_split,
        "val": data.val_split or next((name for name in _VALIDATION if name in known), ""),
        "test": data.test_split or ("test" if "test" in known else ""),
    }
    given = {split: name for split, name in names.items() if name}
    found = records(folder, described, given, (data.image, target))
    train, count = found["train"], len(found["train"])
    for split, share in (("test", data.test), ("val", data.val)):
        if split not in found:
            size = max(1, round(share * count))
            train, found[split] = train[:-size], train[-size:]
    if not train:
        raise DataError(
            f"{folder}: expected training examples beside those cut off for val and test; "
            f"received {count:,} in all"
        )
    return {"train": train, "val": found["val"], "test": found["test"]}


def _names(folder: Path, described: Description, data: Tfds) -> tuple[str, ...]:
    """Names of the classes: the user's, TFDS' or numbers."""
    count = described.classes.get(data.label)
    path = folder / f"{data.label}.labels.txt"
    names = data.names
    # A feature's name comes from a stranger: no file outside of the folder may be read.
    if names is None and path.parent == folder and path.exists():
        text = regular_file(path, _MOST_NAMES).decode("utf-8", "replace")
        names = [shown(line) for line in text.splitlines() if line]
    if count is None and names is None:
        raise DataError(f"{folder}: expected data.names= of the classes; received none")
    if count is not None and not 0 < count <= _MOST_CLASSES:
        raise DataError(f"{folder}: expected 1 to {_MOST_CLASSES:,} classes; received {count:,}")
    if names is not None and count is not None and len(names) != count:
        raise DataError(
            f"{folder}: expected names of {count:,} classes; received {len(names):,} "
            f"({'data.names' if data.names else path.name})"
        )
    return tuple(names or map(str, range(count or 0)))


def _shape(folder: Path, described: Description, data: Tfds) -> tuple[int, int, int]:
    """Height, width and channels: the user's, or those of all pictures."""
    _, own = described.features[data.image]
    height, width, channels = own if len(own) == 3 else (None, None, None)
    if data.height and data.width:
        height, width = data.height, data.width
    if height is None or width is None:
        raise DataError(
            f"{folder}: expected data.height= and data.width=, as its pictures have sizes of "
            "their own; received none"
        )
    return height, width, data.channels or (1 if channels == 1 else 3)
