"""What excites some maps of a layer, again and again while it is trained.

Figure 4 of Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.figures.canvas import BODY, GAP, LINE, Picture, canvas, heading, page, text
from src.figures.colours import MUTED
from src.figures.projections import signed

_CELL, _LEFT = 64, 64


def strip(projections: Sequence[NDArray[np.floating]]) -> Picture:
    """The projections of one step, below each other, each on its own scale, zero grey.

    Args:
        projections: `[height, width, 1 or 3]`; what is not finite lies outside the picture.

    Returns:
        uint8 `[64 n, 64, 3]`.
    """
    block, _ = canvas(_CELL, _CELL * len(projections))
    for row, projection in enumerate(projections):
        image = Image.fromarray(signed(projection))
        ratio = (_CELL - 2) / max(image.size)
        size = [max(1, round(side * (int(ratio) if ratio >= 1 else ratio))) for side in image.size]
        way = Image.Resampling.NEAREST if ratio >= 1 else Image.Resampling.BOX
        block.paste(image.resize((size[0], size[1]), way), (0, row * _CELL))
    return np.asarray(block)


def evolution(title: str, maps: Sequence[int], strips: Mapping[int, Picture]) -> Picture:
    """A column a time, a row a map.

    Args:
        title: the layer.
        maps: their numbers.
        strips: by the step, each of the height `64 maps`.
    """
    block, draw = canvas(_LEFT + len(strips) * _CELL, LINE + _CELL * len(maps))
    for row, number in enumerate(maps):
        middle = LINE + row * _CELL + _CELL / 2
        text(draw, (_LEFT - GAP, middle), f"map {number}", BODY - 1, MUTED, "rm")
    for column, (step, picture) in enumerate(strips.items()):
        x = _LEFT + column * _CELL
        text(draw, (x + _CELL / 2, 0), f"{step:,}", BODY - 1, MUTED, "ma")
        block.paste(Image.fromarray(picture), (x, LINE))
    return page([heading(title, "strongest activation after so many steps"), block])
