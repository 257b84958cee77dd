"""What training makes of a picture and its mask: a window, mirrored, enlarged, recoloured.

All random numbers follow from the seed and the position of the example in the run alone, so that a
resumed run sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

BLACK = 0  # As the padding of a convolution.
# How much red, green and blue add to brightness (ITU-R BT.601), as Pillow makes grey.
_GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Augmentation:
    """Cuts a window out of a picture and resizes it to the size of the training pictures.

    Attributes:
        height: of the training pictures, in pixels.
        width: likewise.
        fit: what the window measures before it is scaled: the training pictures' size (`crop`) or
            the whole picture (`resize`).
        flip: whether half of the pictures are mirrored left to right.
        scale: interval of the factor of enlargement, by which the window shrinks.
        void: label of what lies outside of the picture; None if nothing ever does.
        colour: how far brightness, contrast and saturation may be from 1.
    """

    height: int
    width: int
    fit: Literal["crop", "resize"]
    flip: bool
    scale: tuple[float, float]
    void: int | None
    colour: float = 0.0

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, seed: int, position: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augments one example.

        Args:
            image: uint8 `[h, w, channels]`.
            mask: uint8 `[h, w]`.
            seed: the run's.
            position: how many examples the run has seen before.

        Returns:
            uint8 `[height, width, channels]` and uint8 `[height, width]`.
        """
        factor, down, across, side, *colours = uniform(seed, position, 7)
        smallest, largest = self.scale
        size = self.window(mask.shape, smallest + (largest - smallest) * factor)
        corner = [
            between(min(0, room), max(0, room), chance)
            for room, chance in zip(np.subtract(mask.shape, size), (down, across), strict=True)
        ]
        image, mask = cut(image, corner, size, BLACK), cut(mask, corner, size, self.void or 0)
        if self.flip and side < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        image, mask = resize(image, mask, self.height, self.width)
        return recoloured(image, self.colour, colours), mask

    def still(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The example for evaluation: as it is."""
        return image, mask

    def equal(
        self, image: np.ndarray, mask: np.ndarray, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The example for evaluation, resized to a size."""
        return resize(image, mask, height, width)

    def window(self, size: tuple[int, ...], factor: float) -> tuple[int, int]:
        """Height and width that are cut out of a picture of a size, to be enlarged by a factor."""
        height, width = (self.height, self.width) if self.fit == "crop" else size
        return max(1, round(height / factor)), max(1, round(width / factor))

    def pads(self, size: tuple[int, ...]) -> bool:
        """Whether a window may be larger than a picture of a size."""
        return bool(np.any(np.greater(self.window(size, self.scale[0]), size)))


def cut(array: np.ndarray, corner: list[int], size: tuple[int, int], outside: int) -> np.ndarray:
    """Cuts out a window `[height, width, ...]`, which may reach beyond the array.

    Args:
        array: `[h, w, ...]`.
        corner: row and column of the window's first pixel, negative outside of the array.
        size: height and width of the window.
        outside: what the window holds there.
    """
    before = [max(0, -begin) for begin in corner]
    inside = array[
        tuple(
            slice(max(0, begin), max(0, begin + length))
            for begin, length in zip(corner, size, strict=True)
        )
    ]
    if inside.shape[:2] == size:
        return inside
    window = np.full((*size, *array.shape[2:]), outside, array.dtype)
    height, width = inside.shape[:2]
    window[before[0] : before[0] + height, before[1] : before[1] + width] = inside
    return window


def resize(
    image: np.ndarray, mask: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Resizes an image by bilinear interpolation, its mask to the label of the nearest pixel."""
    if mask.shape == (height, width):
        return image, mask
    nearest = Image.fromarray(np.ascontiguousarray(mask)).resize(
        (width, height), Image.Resampling.NEAREST
    )
    return resize_image(image, height, width), np.asarray(nearest)


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes `[h, w, channels]` by bilinear interpolation."""
    if image.shape[:2] == (height, width):
        return image
    flat = np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
    resized = Image.fromarray(flat).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(height, width, image.shape[-1])


def recoloured(image: np.ndarray, most: float, uniforms: Sequence[float]) -> np.ndarray:
    """Multiplies brightness, contrast and saturation by factors from `1 - most` to `1 + most`.

    Args:
        image: uint8 `[height, width, channels]`.
        most: in [0, 1).
        uniforms: three uniform random numbers in [0, 1), which choose the factors.
    """
    if not most:
        return image
    brightness, contrast, saturation = (1 - most + 2 * most * uniform for uniform in uniforms)
    # Contrast keeps the mean of the brightened picture.
    factor, offset = brightness * contrast, brightness * (1 - contrast) * float(image.mean())
    if image.shape[-1] != 3:
        levels = np.clip(factor * np.arange(256) + offset, 0, 255)
        return (levels + 0.5).astype(np.uint8)[image]
    # Saturation keeps the grey of each pixel.
    colours = factor * (saturation * np.eye(3) + (1 - saturation) * _GREY)
    matrix = np.column_stack((colours, np.full(3, offset))).flatten().tolist()
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("RGB", matrix))


def uniform(seed: int, position: int, count: int) -> list[float]:
    """Uniform numbers in [0, 1) that belong to this seed and position."""
    # A counter-based generator: its key chooses the stream, whose first numbers are taken.
    stream = np.random.Generator(np.random.Philox(key=[seed, position]))
    return stream.random(count).tolist()


def between(least: int, most: int, chance: float) -> int:
    """An integer from `least` to `most`, uniformly distributed."""
    return least + int(chance * (most - least + 1))
