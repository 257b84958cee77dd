"""One encoded picture and its mask to pixels and labels, or a line that says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from src.data import images
from src.data.dataset import DataError
from src.data.metadata import PNG

# PNG specification, section 11.2.2: bit depth and colour type are bytes 24 and 25 of a file.
_DEPTH, _COLOUR = 24, 25
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}


class Source(Protocol):
    """Where one picture and what belongs to it come from."""

    @property
    def key(self) -> str:
        """What the two have in common, wherever the data lies."""

    @property
    def image(self) -> object:
        """What a message calls the image."""

    def read(self) -> tuple[bytes, bytes]:
        """The encoded image, and the encoded mask or the label in decimal digits.

        Raises:
            DataError: they cannot be read.
        """


class MaskSource(Source, Protocol):
    """Where one picture and its mask come from."""

    @property
    def mask(self) -> object:
        """What a message calls the mask."""


@dataclass(frozen=True)
class Labels:
    """What the numbers in a mask mean.

    Attributes:
        classes: how many classes there are.
        void: label of the pixels that do not count, not less than `classes`; or None.
        first: number that stands for label 0 in a file.
    """

    classes: int
    void: int | None
    first: int = 0

    def of(self, numbers: np.ndarray, name: object) -> np.ndarray:
        """The labels of the numbers in a mask.

        Raises:
            DataError: one is neither a class nor void; `name` says of what mask.
        """
        present = np.flatnonzero(np.bincount(numbers.ravel(), minlength=256)) - self.first
        strange = present[((present < 0) | (present >= self.classes)) & (present != self.void)]
        if len(strange):
            last = self.first + self.classes - 1
            void = "" if self.void is None else f" or {self.first + self.void} for void"
            raise DataError(
                f"{name}: expected labels {self.first} to {last}{void}; "
                f"received label {strange[0] + self.first}"
            )
        return numbers - np.uint8(self.first) if self.first else numbers


def decode(
    source: MaskSource, encoded: tuple[bytes, bytes], labels: Labels, max_megapixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes an image and its mask, both upright.

    Args:
        source: what a message names.
        encoded: the image and the mask, as `source.read()` returns them.
        labels: what the numbers in the mask mean.
        max_megapixels: millions of pixels that each may have.

    Returns:
        uint8 `[height, width, 3]`, and uint8 labels `[height, width]`.

    Raises:
        DataError: one of them is damaged or of another kind, or they do not fit each other.
    """
    image = images.decode(encoded[0], source.image, 3, max_megapixels)
    numbers = _numbers(encoded[1], source.mask, max_megapixels)
    if image.shape[:2] != numbers.shape:
        height, width, _ = image.shape
        raise DataError(
            f"{source.mask}: expected {height}x{width} pixels like its image; "
            f"received {numbers.shape[0]}x{numbers.shape[1]}"
        )
    return image, labels.of(numbers, source.mask)


def _numbers(encoded: bytes, name: object, max_megapixels: int) -> np.ndarray:
    """The numbers in a mask, `[height, width]`; of a palette's entries, not of their colours."""
    mask, _ = images.upright(encoded, name, max_megapixels)
    kind = "another picture"
    if encoded.startswith(PNG):
        depth, colour = encoded[_DEPTH], _COLOURS.get(encoded[_COLOUR])
        # Pillow scales grey of fewer bits to the range of eight.
        if colour == "palette" or (depth, colour) == (8, "grey"):
            return np.asarray(mask)
        kind = f"PNG of {depth}-bit {colour}"
    raise DataError(f"{name}: expected a PNG of 8-bit grey or with a palette; received {kind}")
