"""The section of `data=image_folder`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from src.config.data import LabelledPictures
from src.config.section import Side, Text

_MOST_STARS = 2


class ImageFolder(LabelledPictures):
    """A folder of pictures: in a folder for each class, or without classes for an autoencoder.

    Folders `train`, `val` and `test` above them are the splits. One that is not there is drawn from
    the training pictures by a hash of each one's path in `dir`: a picture that is added or taken
    away moves no other one to another split.

    Attributes:
        dir: the folder.
        names: folders of the classes, in the order of the labels; null for all, by name.
        group: pattern of file names without their ending, such as `{group}_*`: pictures with the
            same `{group}`, variants of one thing, come to one split. `*` stands for anything.
        height: of all pictures in pixels.
        width: likewise.
        channels: 3 for colour, 1 for grey.
    """

    name: Literal["image_folder"]
    dir: Text | None = None
    group: Text | None = None
    height: Side = 64
    width: Side = 64
    channels: Literal[1, 3] = 3

    @model_validator(mode="after")
    def _pattern_says_group(self) -> ImageFolder:
        group = self.group
        # Matching a pattern of many stars can take for ever.
        if group is not None and (
            group.count("{group}") != 1 or "/" in group or group.count("*") > _MOST_STARS
        ):
            raise ValueError(
                "expected data.group as a pattern of file names with {group} once and at most "
                f"{_MOST_STARS} *, such as {{group}}_*; received data.group={group}"
            )
        return self
