"""Pictures as PNG files: whoever reads one sees the old file or the new one, whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from src.figures.canvas import Picture
from src.figures.colours import class_colours


def save_png(path: str | os.PathLike[str], picture: Picture) -> None:
    """Write a picture as PNG.

    Args:
        path: the file; its folder is made if it is missing.
        picture: uint8 `[height, width, 3]`.

    Raises:
        ValueError: if `picture` is no such array.
        OSError: if the file cannot be written.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise ValueError(
            "expected picture as uint8 (height, width, 3); "
            f"received picture={picture.dtype} {picture.shape}"
        )
    _write(Path(path), Image.fromarray(picture))


def save_mask(
    path: str | os.PathLike[str],
    mask: NDArray[np.integer],
    classes: int,
    colours: ArrayLike | None = None,
) -> None:
    """Write a mask as PNG with a palette: each pixel is its class, shown in the class' colour.

    Args:
        path: the file; its folder is made if it is missing.
        mask: labels from 0 to `classes - 1`, `[height, width]`.
        classes: number of classes, 256 at most.
        colours: integers 0-255, `[classes, 3]`; by default those of `class_colours`.

    Raises:
        ValueError: if `mask` holds no such labels.
        OSError: if the file cannot be written.
    """
    if mask.ndim != 2 or not 1 <= classes <= 256 or mask.min() < 0 or mask.max() >= classes:
        raise ValueError(
            f"expected mask as labels (height, width) below {classes=}, at most 256; "
            f"received mask={mask.dtype} {mask.shape}"
        )
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette(class_colours(classes, colours).tobytes())
    _write(Path(path), image)


def _write(target: Path, image: Image.Image) -> None:
    target.parent.mkdir(exist_ok=True)
    # Short, whatever the name: that may be as long as the file system allows.
    temporary = target.with_name(f".{os.getpid():x}-{threading.get_ident():x}.tmp")
    try:
        # Level 3 takes half the default's time on photographs, for a few per cent more bytes.
        image.save(temporary, format="PNG", compress_level=3)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
