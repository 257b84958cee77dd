"""What TensorFlow Datasets (TFDS) has written about a data set that it prepared.

The two JSON files of a prepared folder are read here and not by TFDS, which imports whatever module
they name: a folder may come from a stranger. Nothing in it is run, no class in it is looked up, and
no file outside of the folder is opened by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic_core
from pydantic import BaseModel, Field, ValidationError

from src.data.dataset import DataError
from src.data.reading import regular_file

INFO, FEATURES = "dataset_info.json", "features.json"
_MOST_BYTES = 4 << 20
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_OWN = "tensorflow_datasets."


@dataclass(frozen=True)
class SplitFiles:
    """Where the examples of a split are.

    Attributes:
        paths: the TFRecord files, in their order.
        count: how many examples they are said to hold.
    """

    paths: tuple[Path, ...]
    count: int


@dataclass(frozen=True)
class Description:
    """What a prepared folder says about itself.

    Attributes:
        splits: by name.
        features: for each feature the name of its class in TFDS, such as `Image`, and its shape;
            None for a side that differs, `()` for what is no array.
        classes: for each feature that is a label, how many there are, where it is said.
    """

    splits: dict[str, SplitFiles]
    features: dict[str, tuple[str, tuple[int | None, ...]]]
    classes: dict[str, int]


class _Split(BaseModel):
    name: str
    lengths: Annotated[list[Annotated[int, Field(ge=0)]], Field(alias="shardLengths")]
    template: Annotated[str, Field(alias="filepathTemplate")] = _TEMPLATE


class _Info(BaseModel):
    name: str
    format: Annotated[str, Field(alias="fileFormat")] = "tfrecord"
    splits: list[_Split]


def describe(folder: Path) -> Description:
    """Reads the description of a prepared folder.

    Args:
        folder: `<root>/<name>/<version>`.

    Raises:
        DataError: it is damaged, describes other files than TFRecord, or names a feature that is
            not TFDS' own or a file that is not in the folder.
    """
    try:
        info = _Info.model_validate_json(regular_file(folder / INFO, _MOST_BYTES))
        features = pydantic_core.from_json(regular_file(folder / FEATURES, _MOST_BYTES))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _unreadable(folder / INFO, f"{place}: {first['msg']}") from error
    except ValueError as error:
        raise _unreadable(folder, str(error)) from error
    if info.format != "tfrecord":
        raise DataError(
            f"{folder / INFO}: expected fileFormat tfrecord; received {info.format[:40]!r}"
        )
    for name in _class_names(features):
        if not re.fullmatch(r"tensorflow_datasets(\.\w+)+", name):
            raise DataError(
                f"{folder / FEATURES}: expected features of {_OWN[:-1]} itself, as no other code "
                f"is run; received {name[:100]!r}"
            )
    splits = {split.name: _files(folder, info, split) for split in info.splits}
    try:
        members = _members(features)
        described = {name: _feature(value) for name, value in members.items()}
        classes = {
            name: int(value["classLabel"]["numClasses"])
            for name, value in members.items()
            if "numClasses" in value.get("classLabel", {})
        }
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(folder / FEATURES, type(error).__name__) from error
    return Description(splits, described, classes)


def _files(folder: Path, info: _Info, split: _Split) -> SplitFiles:
    count = len(split.lengths)
    digits = max(5, len(str(count)))

    def name(number: int) -> str:
        index, shards = f"{number:0{digits}}", f"{count:0{digits}}"
        values = {
            "DATASET": info.name,
            "SPLIT": split.name,
            "FILEFORMAT": info.format,
            "SHARD_INDEX": index,
            "NUM_SHARDS": shards,
            "SHARD_X_OF_Y": f"{index}-of-{shards}",
        }
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), split.template)

    names = [name(number) for number in range(count)]
    for some in names:
        if not some or some.startswith(".") or re.search(r"[/\\\0]", some):
            raise DataError(
                f"{folder / INFO}: expected names of files in the folder; received {some[:100]!r}"
            )
    return SplitFiles(tuple(folder / some for some in names), sum(split.lengths))


def _class_names(value: Any) -> Iterator[str]:
    """Every class that a description of features names, however deep."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("pythonClassName", "type", "proto_cls") and isinstance(part, str):
                yield part
            yield from _class_names(part)
    elif isinstance(value, list):
        for part in value:
            yield from _class_names(part)


def _members(features: Any) -> dict[str, Any]:
    """The features by name, as TFDS writes them now or wrote them before its version 4.5."""
    return (
        features["featuresDict"]["features"] if "featuresDict" in features else features["content"]
    )


def _feature(value: dict[str, Any]) -> tuple[str, tuple[int | None, ...]]:
    kind = (value.get("pythonClassName") or value["type"]).rpartition(".")[2]
    if kind != "Image":
        return kind, ()
    if "image" in value:
        sides = value["image"].get("shape", {}).get("dimensions", [])
    else:
        sides = value["content"]["shape"]
    # TFDS writes -1 for a side that differs.
    return kind, tuple(int(side) if side and int(side) > 0 else None for side in sides)


def _unreadable(where: Path, reason: str) -> DataError:
    text = " ".join(reason.split())[:200]
    return DataError(f"{where}: expected a readable description; received {text}")
