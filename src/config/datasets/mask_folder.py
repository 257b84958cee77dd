"""The section of `data=mask_folder`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from src.config.data import PictureData
from src.config.section import Byte, Text


class MaskFolder(PictureData):
    """A folder of images and masks, PNG files with the number of a class for each pixel.

    Attributes:
        dir: the folder.
        images: where the images are in it: `{split}` stands for train, val and test, `*` for what
            an image and its mask have in common. With an ending (`.png`) only files of that;
            without one png, jpg, jpeg, gif, bmp and webp.
        masks: likewise the masks, whose ending is png.
        classes: number of classes.
        names: their names; if null, their numbers.
        colours: red, green and blue of each class in pictures, 0 to 255; null for the usual ones.
        void: label of the pixels that count neither in the loss nor in a metric; null if there is
            none.
    """

    name: Literal["mask_folder"]
    dir: Text | None = None
    images: Text = "{split}/*"
    masks: Text = "{split}annot/*"
    classes: Annotated[int, Field(ge=2, le=256)] = 2
    names: list[Text] | None = None
    colours: list[Annotated[list[Byte], Field(min_length=3, max_length=3)]] | None = None
    void: Byte | None = None

    @model_validator(mode="after")
    def _labels_are_described(self) -> MaskFolder:
        for key in ("names", "colours"):
            listed = getattr(self, key)
            if listed is not None and len(listed) != self.classes:
                raise ValueError(
                    f"expected data.{key} for each of data.classes={self.classes}; "
                    f"received {len(listed)}"
                )
        if self.void is not None and self.void < self.classes:
            raise ValueError(
                f"expected data.void beyond the labels of the classes, 0 to {self.classes - 1}; "
                f"received data.void={self.void}"
            )
        return self

    @model_validator(mode="after")
    def _patterns_agree(self) -> MaskFolder:
        for key in ("images", "masks"):
            pattern = getattr(self, key)
            stars = "*" in pattern and "**" not in pattern
            if "{split}" not in pattern or not stars or pattern.startswith("/"):
                raise ValueError(
                    f"expected data.{key} as a path in data.dir with {{split}} and at least one *; "
                    f"received data.{key}={pattern}"
                )
        if self.images.count("*") != self.masks.count("*") or self.images == self.masks:
            raise ValueError(
                "expected data.images and data.masks to differ and to have as many *; "
                f"received data.images={self.images} and data.masks={self.masks}"
            )
        return self
