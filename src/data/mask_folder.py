"""Finds the images and masks of a folder: which mask belongs to which image."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from src.data.dataset import DataError

SPLITS = ("train", "val", "test")
_IMAGES = (".png", ".jpg", ".jpeg")
_MASKS = (".png",)


@dataclass(frozen=True)
class Pair:
    """An image's file and its mask's.

    Attributes:
        key: what stands for the stars of the patterns, equal in both.
        image: the image's file.
        mask: the mask's file.
    """

    key: str
    image: Path
    mask: Path

    def read(self) -> tuple[bytes, bytes]:
        """The contents of both files."""
        return self.image.read_bytes(), self.mask.read_bytes()


def find(folder: Path, images: str, masks: str) -> dict[str, list[Pair]]:
    """Finds every image and its mask.

    Args:
        folder: where the patterns begin.
        images: where the images are, without their ending: `{split}` stands for `train`, `val` or
            `test`, each `*` for the part of a name that an image and its mask have in common.
        masks: likewise the masks, with as many stars.

    Returns:
        The pairs of each split in the order of their keys, at least one.

    Raises:
        DataError: a split has no images, an image no mask, or a mask no image.
    """
    if not folder.is_dir():
        raise DataError(f"expected data.dir as a folder of images and masks; received {folder}")
    found = {}
    for split in SPLITS:
        labels = _files(folder, masks.replace("{split}", split), _MASKS)
        pictures = _files(folder, images.replace("{split}", split), _IMAGES, labels.values())
        if not pictures:
            raise DataError(
                "expected images (png, jpg or jpeg) for each of train, val and test; received no "
                f"{folder / images.replace('{split}', split)} (data.images={images})"
            )
        for key in sorted(pictures.keys() ^ labels.keys()):
            if key in pictures:
                present, missing, pattern = pictures[key], "a mask", masks + ".png"
            else:
                present, missing, pattern = labels[key], "an image", images
            for part in key.split("/"):
                pattern = pattern.replace("*", part, 1)
            path = folder / pattern.replace("{split}", split)
            raise DataError(f"{present}: expected {missing} {path}; received none")
        found[split] = [Pair(key, pictures[key], labels[key]) for key in sorted(pictures)]
    return found


def _files(
    folder: Path, pattern: str, endings: tuple[str, ...], others: Iterable[Path] = ()
) -> dict[str, Path]:
    """The files of a pattern but for `others`, by what stands for its stars."""
    # Of glob's special characters only the star is one here.
    literal = pattern.split("*")
    named = re.compile("([^/]*)".join(map(re.escape, literal)))
    left_out = set(others)
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*".join(map(glob.escape, literal)) + ".*")):
        match = named.fullmatch(path.with_suffix("").relative_to(folder).as_posix())
        # Hidden files are other programs' notes, some of which are named like pictures.
        hidden = path.name.startswith(".")
        if not match or hidden or path.suffix.lower() not in endings or path in left_out:
            continue
        key = "/".join(match.groups())
        if key in files:
            raise DataError(f"{path}: expected one file of this name; received {files[key]} too")
        files[key] = path
    return files
