"""One encoded picture and its mask to pixels and labels, or a line that says what is wrong."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from src.data.dataset import DataError

# Pillow knows dozens of formats and could be made to try any of them on a stranger's file.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
# What becomes 8-bit RGB without a choice of how; 16 bits a channel, for one, do not.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
# PNG specification, section 11.2.1: bit depth and colour type are bytes 24 and 25 of a file.
_SIGNATURE, _DEPTH, _COLOUR = b"\x89PNG\r\n\x1a\n", 24, 25
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}


class Source(Protocol):
    """Where one picture and its mask come from."""

    @property
    def key(self) -> str:
        """What the two have in common, wherever the data lies."""

    @property
    def image(self) -> object:
        """What a message calls the image."""

    @property
    def mask(self) -> object:
        """What a message calls the mask."""

    def read(self) -> tuple[bytes, bytes]:
        """The encoded image and the encoded mask.

        Raises:
            OSError: they cannot be read.
        """


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


def read(source: Source) -> tuple[bytes, bytes]:
    """Reads an image and its mask as they are encoded.

    Raises:
        DataError: they cannot be read.
    """
    try:
        return source.read()
    except OSError as error:
        name = error.filename or source.image
        raise DataError(f"{name}: expected to read it; received {error.strerror}") from error


def decode(
    source: Source, encoded: tuple[bytes, bytes], labels: Labels
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes an image and its mask.

    Args:
        source: what a message names.
        encoded: the image and the mask, as `read` returns them.
        labels: what the numbers in the mask mean.

    Returns:
        uint8 `[height, width, 3]`, and uint8 labels `[height, width]`.

    Raises:
        DataError: one of them is damaged or of another kind, or they do not fit each other.
    """
    picture = _open(encoded[0], source.image)
    if picture.mode not in _MODES:
        raise DataError(
            f"{source.image}: expected grey or coloured pixels of 8 bits a channel; "
            f"received mode {picture.mode}"
        )
    image = np.asarray(picture.convert("RGB"))
    numbers = _numbers(encoded[1], source.mask)
    if image.shape[:2] != numbers.shape:
        height, width, _ = image.shape
        raise DataError(
            f"{source.mask}: expected {height}x{width} pixels like its image; "
            f"received {numbers.shape[0]}x{numbers.shape[1]}"
        )
    return image, labels.of(numbers, source.mask)


def _numbers(encoded: bytes, name: object) -> np.ndarray:
    """The numbers in a mask, `[height, width]`; of a palette's entries, not of their colours."""
    mask = _open(encoded, name)
    kind = mask.format
    if encoded.startswith(_SIGNATURE):
        depth, colour = encoded[_DEPTH], _COLOURS.get(encoded[_COLOUR])
        # Pillow stretches grey of fewer bits to the range of eight.
        if colour == "palette" or (depth, colour) == (8, "grey"):
            return np.asarray(mask)
        kind = f"PNG of {depth}-bit {colour}"
    raise DataError(f"{name}: expected a PNG of 8-bit grey or with a palette; received {kind}")


def _open(encoded: bytes, name: object) -> Image.Image:
    """Decodes a picture to its end."""
    try:
        picture = Image.open(io.BytesIO(encoded), formats=_FORMATS)
        picture.load()
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: expected a picture; received another file") from error
    # What Pillow raises about damage is not documented: whatever it is, there is no picture.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name}: expected a whole picture; received {reason}") from error
    return picture
