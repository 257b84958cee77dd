"""Folders of images and masks: which mask belongs to which image."""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from src import files
from src.config import MaskFolder
from src.data import images as image_files
from src.data import locate, pictures
from src.data.dataset import DataError, DataSet
from src.data.decode import Labels
from src.data.reading import shown

SPLITS = ("train", "val", "test")
_MASKS = (".png",)


@dataclass(frozen=True)
class ImageAndMask:
    """An image's file and its mask's.

    Attributes:
        key: what stands for the stars of the patterns, equal in both, in Unicode's form NFC.
        image_path: the image's file.
        mask_path: the mask's file.
    """

    key: str
    image_path: Path
    mask_path: Path

    @property
    def image(self) -> str:
        """What a message calls the image."""
        return shown(self.image_path)

    @property
    def mask(self) -> str:
        """What a message calls the mask."""
        return shown(self.mask_path)

    def read(self) -> tuple[bytes, bytes]:
        """The contents of both files.

        Raises:
            DataError: one of them cannot be read.
        """
        return image_files.read(self.image_path), image_files.read(self.mask_path)


def load(data: MaskFolder) -> DataSet:
    """Finds the images and masks, and checks every one."""
    if data.dir is None:
        raise DataError("expected data.dir=, a folder of images and masks; received none")
    folder = locate.absolute(data.dir, "data.dir")
    pairs = find(folder, data.images, data.masks)
    labels = Labels(data.classes, data.void)
    source, location = f"mask_folder:{shown(folder)}", {"dir": str(folder)}
    return pictures.described(data, labels, pairs, source, location)


def find(folder: Path, images: str, masks: str) -> dict[str, list[ImageAndMask]]:
    """Finds every image and its mask.

    Args:
        folder: where the patterns begin.
        images: where the images are: `{split}` stands for `train`, `val` or `test`, each `*` for
            the part of a name that an image and its mask have in common. With an ending, only files
            of that are images.
        masks: likewise the masks, with as many stars.

    Returns:
        The pairs of each split in the order of their keys, at least one.

    Raises:
        DataError: a split has no images, an image no mask, or a mask no image.
    """
    if not os.path.isdir(folder) or not os.access(folder, os.R_OK | os.X_OK):
        raise DataError(
            "expected data.dir as a folder of images and masks that can be read; received "
            f"{files.clipped(shown(folder))}"
        )
    images, image_endings = _without_ending(images, image_files.ENDINGS)
    masks, mask_endings = _without_ending(masks, _MASKS)
    found = {}
    for split in SPLITS:
        where, labelled = (p.replace("{split}", split) for p in (images, masks))
        labels = _files(folder, labelled, mask_endings)
        pictures = _files(folder, where, image_endings, labels.values())
        if not pictures:
            raise DataError(
                f"expected images ({', '.join(image_endings)}) for each of train, val and test; "
                f"received no {shown(folder / where)} (data.images={images})"
                f"{_closed(folder, where)}"
            )
        for key in sorted(pictures.keys() ^ labels.keys()):
            if key in pictures:
                present, missing, pattern = pictures[key], "a mask", labelled + ".png"
            else:
                present, missing, pattern = labels[key], "an image", where
            for part in key.split("/"):
                pattern = pattern.replace("*", part, 1)
            raise DataError(
                f"{shown(present)}: expected {missing} {shown(folder / pattern)}; received none"
            )
        found[split] = [ImageAndMask(key, pictures[key], labels[key]) for key in sorted(pictures)]
    return found


def _without_ending(pattern: str, endings: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """A pattern without the ending that it may have, and the endings of its files."""
    stem, ending = os.path.splitext(pattern)
    return (stem, (ending.lower(),)) if ending.lower() in endings else (pattern, endings)


def _closed(folder: Path, pattern: str) -> str:
    """A remark if a folder that the pattern leads to cannot be entered."""
    for part in Path(pattern).parts:
        folder /= part
        if "*" in part or not os.path.isdir(folder):
            break
        if not os.access(folder, os.R_OK | os.X_OK):
            return f": {shown(folder)} cannot be entered"
    return ""


def _files(
    folder: Path, pattern: str, endings: tuple[str, ...], others: Iterable[Path] = ()
) -> dict[str, Path]:
    """The files of a pattern but for `others`, by what stands for its stars.

    A letter with an accent may be one character or two, and be written otherwise in the pattern, in
    the image's name and in the mask's.
    """
    literal = unicodedata.normalize("NFC", pattern).split("*")
    named = re.compile("([^/]*)".join(map(re.escape, literal)))
    # Of glob's special characters only the star is one here.
    wide = "*".join(re.sub(r"[^\x00-\x7f]+", "*", glob.escape(part)) for part in literal)
    wide = re.sub(r"\*\*+", "*", wide)
    left_out = set(others)
    files: dict[str, Path] = {}
    for path in sorted(folder.glob(wide + ".*")):
        relative = path.with_suffix("").relative_to(folder).as_posix()
        match = named.fullmatch(unicodedata.normalize("NFC", relative))
        # Hidden files are other programs' notes, some of which are named like pictures.
        hidden = path.name.startswith(".")
        if not match or hidden or path.suffix.lower() not in endings or path in left_out:
            continue
        key = "/".join(match.groups())
        if key in files:
            raise DataError(
                f"{shown(path)}: expected one file of this name; received {shown(files[key])} too"
            )
        files[key] = path
    return files
