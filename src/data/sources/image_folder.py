"""Folders of pictures: which class each is of, and in which split."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src import files
from src.config import ImageFolder
from src.data import images, labelled, locate, pictures
from src.data.dataset import DataError, DataSet
from src.data.reading import shown

SPLITS = ("train", "val", "test")
UNLABELLED = ("picture",)


@dataclass(frozen=True)
class Picture:
    """A picture's file and its label.

    Attributes:
        key: the path in the folder, with `/`, in Unicode's form NFC.
        path: the file.
        label: number of its class.
    """

    key: str
    path: Path
    label: int

    @property
    def image(self) -> str:
        """What a message calls it."""
        return shown(self.path)

    def read(self) -> tuple[bytes, bytes]:
        """The contents of the file, and the label.

        Raises:
            DataError: it cannot be read.
        """
        return images.read(self.path), str(self.label).encode()


def load(data: ImageFolder) -> DataSet:
    """Finds the pictures, and checks every one."""
    if data.dir is None:
        raise DataError("expected data.dir=, a folder of pictures; received none")
    folder = locate.absolute(data.dir, "data.dir")
    names, found, others = find(folder, data)
    check(folder, names, found)
    classes = names or UNLABELLED
    shape = data.height, data.width, data.channels
    splits, digests = labelled.load(data, shape, len(classes), found)
    check_contents(splits)
    location = {"dir": str(folder)} | ({"names": list(names)} if names else {})
    return DataSet(
        data.name,
        f"image_folder:{shown(folder)}",
        digests,
        tuple(map(shown, classes)),
        "labels",
        splits,
        notice=_left_out(others),
        location=location,
    )


def find(
    folder: Path, data: ImageFolder
) -> tuple[tuple[str, ...], dict[str, list[Picture]], list[Path]]:
    """Finds every picture, its class and its split.

    Args:
        folder: the folder.
        data: which classes, shares and groups are asked for.

    Returns:
        Names of the classes, none where the pictures lie in no folders; the pictures of each split
        in the order of their keys; the files that are no pictures by their endings.

    Raises:
        DataError: the folder cannot be read, has a folder beside the splits, lacks a class, or has
            pictures beside classes.
    """
    roots = _roots(folder)
    inside = {split: _folders(root) for split, root in roots.items()}
    names = tuple(data.names or sorted({name for some in inside.values() for name in some}))
    others: list[Path] = []
    found: dict[str, list[Picture]] = {split: [] for split in SPLITS}
    for split, root in roots.items():
        places = [(root / name, label) for label, name in enumerate(names) if name in inside[split]]
        loose = _pictures(root, others, deep=not names)
        if names and loose:
            raise DataError(
                f"{shown(loose[0])}: expected pictures in folders of their classes only, as there "
                f"is {shown(places[0][0] if places else root)}; received one beside them"
            )
        for place, label in places or [(root, 0)]:
            for path in _pictures(place, others) if names else loose:
                key = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
                found[split].append(Picture(key, path, label))
    missing = {split: getattr(data, split) for split in ("val", "test") if split not in roots}
    if missing:
        found |= _drawn(found["train"], missing, data.group)
    ordered = {split: sorted(some, key=lambda p: p.key) for split, some in found.items()}
    return names, ordered, others


def _roots(folder: Path) -> dict[str, Path]:
    """Where the pictures of each split are that the folder gives."""
    inside = _folders(folder)
    if "train" not in inside or not {"val", "test"} & set(inside):
        return {"train": folder}
    for name in inside:
        if name not in SPLITS:
            raise DataError(
                f"{shown(folder / name)}: expected folders train, val and test only beside each "
                "other; received another"
            )
    return {split: folder / split for split in SPLITS if split in inside}


def _folders(folder: Path) -> list[str]:
    """Names of the folders in a folder; a hidden one is another program's."""
    try:
        return sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != ".")
    except OSError as error:
        raise DataError(
            "expected a folder of pictures that can be read; received "
            f"{files.clipped(shown(folder))} ({error.strerror})"
        ) from error


def _pictures(folder: Path, others: list[Path], deep: bool = True) -> list[Path]:
    """The pictures below a folder, or only those right in it; other files are added to `others`."""
    found = []
    for path in _walk(folder, deep):
        if path.suffix.lower() in images.ENDINGS:
            found.append(path)
        elif path.name != "Thumbs.db":
            others.append(path)
    return found


def _walk(folder: Path, deep: bool) -> Iterator[Path]:
    def closed(error: OSError) -> None:
        raise DataError(f"{shown(error.filename)}: expected to read it; received {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if deep and name[0] != ".")
        yield from (Path(parent, name) for name in sorted(names) if name[0] != ".")


def _drawn(
    train: Sequence[Picture], shares: Mapping[str, float], group: str | None
) -> dict[str, list[Picture]]:
    """Draws splits from the training pictures; what is left stays for training.

    The first 64 bits of the SHA-256 of a picture's key, or of its group, say where it lies in
    [0, 1), and each split has an interval of it: no picture has a say about another's split.
    """
    named = re.compile(_expression(group)) if group else None
    drawn: dict[str, list[Picture]] = {split: [] for split in ("train", *shares)}
    grouped = False
    for picture in train:
        stem = os.path.splitext(picture.key.rpartition("/")[2])[0]
        match = named and named.fullmatch(stem)
        grouped = grouped or bool(match)
        # A picture without a variant's mark is the one that the variants are of.
        text = picture.key if named is None else match[1] if match else stem
        place, chosen = place_of(text), "train"
        for split, share in shares.items():
            if 0 <= place < share:
                chosen = split
            place -= share
        drawn[chosen].append(picture)
    if named and train and not grouped:
        raise DataError(
            f"{train[0].image}: expected names of pictures like data.group={group}; received none"
        )
    return drawn


def place_of(text: str) -> float:
    """A number in [0, 1) that belongs to a text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _expression(group: str) -> str:
    """The regular expression of a pattern in which `{group}` is as long as it can be."""
    before, after = (
        ".*".join(map(re.escape, unicodedata.normalize("NFC", part).split("*")))
        for part in group.split("{group}")
    )
    return f"{before}(.+){after}"


def check(folder: Path, names: Sequence[str], found: Mapping[str, Sequence[Picture]]) -> None:
    """Refuses splits and classes from which nothing can be learned.

    Raises:
        DataError: a split is empty, a class has no picture, or has pictures in one split only.
    """
    for label, name in enumerate(names):
        some = {s: [p for p in part if p.label == label] for s, part in found.items()}
        holding = [split for split, part in some.items() if part]
        if not holding:
            raise DataError(
                f"{shown(folder / name)}: expected pictures ({images.LISTED}) of each class; "
                "received none"
            )
        if len(holding) == 1 or "train" not in holding:
            first, where = some[holding[0]][0], " and ".join(holding)
            raise DataError(
                f"{first.image}: expected pictures of class {shown(name)} in train and in val or "
                f"test; received them in {where} only (more pictures, or larger data.val and "
                "data.test)"
            )
    for split, part in found.items():
        if not part:
            raise DataError(
                f"expected pictures ({images.LISTED}) for each of train, val and test; received "
                f"none for {split} of {shown(folder)} (more pictures, or larger data.val and "
                "data.test)"
            )


def check_contents(splits: Mapping[str, pictures.Pictures]) -> None:
    """Refuses a picture that is in two splits: what is tested would have been learned.

    Raises:
        DataError: two files in different splits have the same contents.
    """
    known: dict[bytes, tuple[str, object]] = {}
    for split, part in splits.items():
        for source, content in zip(part.store.sources, part.store.contents, strict=True):
            other, name = known.setdefault(content, (split, source.image))
            if other != split:
                raise DataError(
                    f"{source.image}: expected a picture in one split only; received the same in "
                    f"{split} as {name} in {other}"
                )


def _left_out(others: Sequence[Path]) -> str | None:
    if not others:
        return None
    return (
        f"{len(others)} files left out that are no pictures by their ending "
        f"({', '.join(images.ENDINGS)}), such as {shown(others[0])}"
    )
