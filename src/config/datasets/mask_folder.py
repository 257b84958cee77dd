"""The section of `data=mask_folder`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from src.config.data import MaskData
from src.config.section import Text


class MaskFolder(MaskData):
    """A folder of images and masks, PNG files with the number of a class for each pixel.

    Attributes:
        dir: the folder.
        images: where the images are in it: `{split}` stands for train, val and test, `*` for what
            an image and its mask have in common. With an ending (`.png`) only files of that;
            without one png, jpg, jpeg, gif, bmp and webp.
        masks: likewise the masks, whose ending is png.
    """

    name: Literal["mask_folder"]
    dir: Text | None = None
    images: Text = "{split}/*"
    masks: Text = "{split}annot/*"

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
