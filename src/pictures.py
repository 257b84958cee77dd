"""Pictures from a user's disk, whatever their mode: listed, checked, read upright."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from src.errors import UserError

_ENDINGS = (".png", ".jpg", ".jpeg")
_PAPER = (255, 255, 255, 255)


def find(where: str) -> list[Path]:
    """Lists the pictures that a file or folder holds, sorted by name.

    Raises:
        UserError: there is none, or one cannot be decoded to its end.
    """
    path = Path(where)
    if path.is_dir():
        found = sorted(
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in _ENDINGS and not entry.name.startswith(".")
        )
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise UserError(
            f"expected a picture or a folder with pictures (png, jpg, jpeg); received input={where}"
        )
    for picture in found:
        read(picture, 1)
    return found


def check_output(
    folder: Path, where: str, found: Sequence[Path], endings: Sequence[str], overwrite: bool
) -> None:
    """Refuses to write where something would be lost.

    Args:
        folder: what is written to.
        where: the file or folder that the pictures are read from.
        found: the pictures.
        endings: what is written for a picture: its name without its ending, and each of these.
        overwrite: whether what is in the folder may be replaced.

    Raises:
        UserError: there is something in the folder and `overwrite` is not set, it is the pictures'
            own, or two pictures would have predictions of one name.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not overwrite)):
        raise UserError(
            f"expected output= as a new or empty folder, or overwrite=true; received {folder}"
        )
    own = Path(where) if Path(where).is_dir() else Path(where).parent
    if folder.resolve() == own.resolve():
        raise UserError(f"expected output= apart from the pictures of input=; received {folder}")
    taken: dict[str, Path] = {}
    for path in found:
        for name in (f"{path.stem}{ending}" for ending in endings):
            if name in taken:
                raise UserError(
                    f"expected pictures whose predictions have names of their own; received "
                    f"{taken[name].name} and {path.name}, both with {name}"
                )
            taken[name] = path


def read(path: Path, channels: int) -> np.ndarray:
    """Reads a picture as its viewer would show it.

    The camera's note of what was up (EXIF) is followed, 16 bits become 8, and what is transparent
    shows white paper.

    Args:
        path: a PNG or JPEG file of any mode.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        uint8 `[height, width, channels]`.

    Raises:
        UserError: it cannot be decoded.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as file:
            image = ImageOps.exif_transpose(file)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"expected a PNG or JPEG file that can be read; received {path} ({reason})"
        ) from error
    if image.mode.startswith("I"):
        # Pillow's own conversion would cut 16 bits off at 255 rather than scale them.
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _PAPER), image)
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return array.reshape(*array.shape[:2], channels)


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales uint8 `[height, width, channels]` to a size, without regard to the ratio of sides."""
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(height, width, picture.shape[-1])


def dark_on_light(picture: np.ndarray) -> bool:
    """Whether the corners of uint8 `[height, width, channels]` are brighter than its centre."""
    height, width = picture.shape[:2]
    y, x = max(1, height // 8), max(1, width // 8)
    corners = [picture[a, b].mean() for a in (slice(y), slice(-y, None)) for b in _ends(x)]
    centre = picture[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    return bool(np.mean(corners) > centre.mean())


def _ends(length: int) -> tuple[slice, slice]:
    return slice(length), slice(-length, None)
