"""Pictures to pixels: the one place where training, evaluation and prediction read them.

A file is known by its contents, not by its name. Its pixels come as a viewer shows them: upright as
the camera noted (EXIF), in sRGB where a colour profile (ICC) says otherwise, on white where they
are transparent, 16 bits scaled to 8, and of an animation the first frame.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from src import files
from src.config.data import Fit
from src.data import metadata
from src.data.dataset import DataError
from src.data.reading import regular_file, shown

# Pillow knows dozens of formats and could be made to try any of them on a stranger's file.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
LISTED = "png, jpeg, gif, bmp or webp"

_MOST_BYTES = 1 << 30
_PAPER = (255, 255, 255, 255)
# EXIF's number, and what makes the stored pixels upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A colour profile's name for its colour space, and the modes of such pixels.
_SPACES = {"GRAY": ("L",), "RGB": ("RGB", "RGBA"), "CMYK": ("CMYK",)}

# The program has a limit of its own, `max_megapixels`, and Pillow's warnings about damage beside
# the pixels are nothing that a user could put right.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\b")


def find(where: str) -> list[Path]:
    """Lists the pictures that a file or folder holds, sorted by name.

    Raises:
        DataError: there is none, or the folder cannot be entered.
    """
    path, found, reason = Path(where), [], ""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            found = sorted(
                entry
                for entry in path.iterdir()
                if entry.suffix.lower() in ENDINGS and not entry.name.startswith(".")
            )
        else:
            found = [path]
    except (OSError, ValueError) as error:
        reason = f" ({getattr(error, 'strerror', None) or error})"
    if not found:
        raise DataError(
            f"expected a picture or a folder with pictures ({LISTED}); "
            f"received input={files.clipped(shown(where))}{reason}"
        )
    return found


def read(path: Path) -> bytes:
    """The encoded picture in a regular file.

    Raises:
        DataError: it cannot be read, or is no regular file.
    """
    return regular_file(path, _MOST_BYTES)


def decode(encoded: bytes, name: object, channels: int, max_megapixels: int) -> np.ndarray:
    """Decodes a picture.

    Args:
        encoded: the contents of its file.
        name: what a message calls it.
        channels: 1 for grey, 3 for red, green and blue.
        max_megapixels: millions of pixels that it may have.

    Returns:
        uint8 `[height, width, channels]`.

    Raises:
        DataError: it is no picture, damaged, or larger.
    """
    image, profile = upright(encoded, name, max_megapixels)
    try:
        image = _on_paper(_in_srgb(_eight_bits(image), profile))
        array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    # What Pillow raises about damage is not documented: whatever it is, there is no picture.
    except Exception as error:
        raise _damaged(name, error) from error
    return array.reshape(*array.shape[:2], channels)


def upright(encoded: bytes, name: object, max_megapixels: int) -> tuple[Image.Image, bytes]:
    """Decodes a picture as it is stored, but upright; returns its colour profile, too.

    Raises:
        DataError: as for `decode`.
    """
    parts = metadata.parts(encoded)
    try:
        image = Image.open(io.BytesIO(parts.pixels), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: expected a picture ({LISTED}); received another file") from error
    except Exception as error:
        raise _damaged(name, error) from error
    if image.width * image.height > max_megapixels * 10**6:
        raise DataError(
            f"{name}: expected at most {max_megapixels} million pixels (max_megapixels); "
            f"received {image.width}x{image.height}"
        )
    try:
        image.load()
        exif = parts.exif or image.info.get("exif", b"")
        turn = _UPRIGHT.get(metadata.orientation(exif))
        profile = parts.profile or image.info.get("icc_profile") or b""
        return (image if turn is None else image.transpose(turn)), profile
    except Exception as error:
        raise _damaged(name, error) from error


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales uint8 `[height, width, channels]` to a size, without regard to the ratio of sides."""
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(height, width, picture.shape[-1])


def fitted(picture: np.ndarray, height: int, width: int, fit: Fit, room: float = 1.0) -> np.ndarray:
    """Brings uint8 `[h, w, channels]` to a size.

    Args:
        picture: of any size.
        height: in pixels.
        width: likewise.
        fit: `resize` changes the ratio of the sides; `pad` puts the whole picture in the middle of
            black; `crop` fills the size and keeps the middle.
        room: of `crop` with more than 1, and of `pad`: what training still cuts or puts at random.
            How many times `height` or `width` the longer side may keep; nothing is put on black.
    """
    h, w, channels = picture.shape
    if fit == "resize" or (h, w) == (height, width):
        return resized(picture, height, width)
    ratios = height / h, width / w
    ratio = max(ratios) if fit == "crop" else min(ratios)
    sides = [max(1, round(length * ratio)) for length in (h, w)]
    if fit == "crop":
        sides = [
            min(side, round(room * most)) for side, most in zip(sides, (height, width), strict=True)
        ]
    inside = _resized_part(
        picture,
        sides,
        [min(side / ratio, length) for side, length in zip(sides, (h, w), strict=True)],
    )
    if fit == "crop" or room > 1:
        return inside
    whole = np.zeros((height, width, channels), np.uint8)
    top, left = (height - sides[0]) // 2, (width - sides[1]) // 2
    whole[top : top + sides[0], left : left + sides[1]] = inside
    return whole


def _resized_part(picture: np.ndarray, sides: list[int], part: list[float]) -> np.ndarray:
    """The middle of a picture, `part` its height and width, scaled to `sides`."""
    (h, w), (height, width) = picture.shape[:2], part
    top, left = (h - height) / 2, (w - width) / 2
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    image = image.resize(
        (sides[1], sides[0]), Image.Resampling.BICUBIC, (left, top, left + width, top + height)
    )
    return np.asarray(image).reshape(*sides, picture.shape[-1])


def dark_on_light(picture: np.ndarray) -> bool:
    """Whether the corners of uint8 `[height, width, channels]` are brighter than its centre."""
    height, width = picture.shape[:2]
    y, x = max(1, height // 8), max(1, width // 8)
    corners = [picture[a, b].mean() for a in (slice(y), slice(-y, None)) for b in _ends(x)]
    centre = picture[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    return bool(np.mean(corners) > centre.mean())


def _ends(length: int) -> tuple[slice, slice]:
    return slice(length), slice(-length, None)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits scaled to 8, where Pillow would clip it at 255."""
    if not image.mode.startswith("I"):
        return image
    levels = np.asarray(image)
    grey = Image.fromarray(np.rint(np.clip(levels, 0, 65535) / 257).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return grey


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The colours in sRGB; a profile that cannot be used changes nothing."""
    if not profile:
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in (own.profile.profile_description or ""):
            return image
        if image.mode in ("P", "PA", "LA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if image.mode not in _SPACES.get(own.profile.xcolor_space.strip(), ()):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, own, srgb, outputMode=mode) or image
    except Exception:
        return image


def _on_paper(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, _PAPER), image)


def _damaged(name: object, error: Exception) -> DataError:
    reason = files.clipped(error) or type(error).__name__
    return DataError(f"{name}: expected a whole picture; received {reason}")
