"""Seeded segmentation scenes: real digits on a canvas, and the mask that says where they are.

Scene number i of a split is the same whatever the number of scenes: every random quantity has a
stream of its own, in which scene i comes i-th.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from src.config import Scenes, TfdsData
from src.data.dataset import DIGITS, DataError, DataSet, Lazily
from src.data.examples import Split
from src.data.sources import mnist
from src.data.splits import digests

BOX = 28
CLASSES = ("background", *DIGITS)
# A pixel belongs to a digit from a tenth of full brightness on: the mask then covers all that one
# sees of it. MNIST's edges are grey because its strokes were averaged down, so that a threshold at
# half would cut a third of what one sees.
INK = 25
_SPLITS = ("train", "val", "test")
_COUNT, _WHICH, _NOISE, _SHELF, _PLACE = range(5)
_ROUNDS = 8
_TRIES = 24
_NOISE_SCENES = 256
_MOST_PIXELS = 2**32
_MOST_SCENES = {"train": 12000, "val": 1000, "test": 1000}


@dataclass(frozen=True)
class Canvas:
    """What a scene looks like.

    Attributes:
        height: in pixels, at least 28.
        width: in pixels, at least 28.
        max_digits: a scene holds 1 to this many digits; so many 28x28 cells must fit.
        noise: standard deviation of the background's Gaussian before it is clipped to the pixel
            range [0, 1], in units of that range.
    """

    height: int
    width: int
    max_digits: int
    noise: float


def load(data: Scenes) -> DataSet:
    """Finds the digits; the scenes of a split are composed when they are first asked for."""
    digits = mnist.load(
        TfdsData(name="mnist", dir=data.dir, idx_dir=data.idx_dir, fallback=data.fallback)
    )
    canvas = Canvas(data.height, data.width, data.max_digits, data.noise)
    counts = {"train": data.train_scenes, "val": data.val_scenes, "test": data.test_scenes}

    def composed(split: str) -> Split:
        known = digits.splits[split].arrays()
        number = counts[split] or min(_MOST_SCENES[split], len(known) // 2)
        return compose(known, split, number, canvas, data.scene_seed)

    splits = Lazily(counts, composed)
    return DataSet(
        data.name,
        f"scenes of digits from {digits.source}",
        digests(splits),
        CLASSES,
        "masks",
        splits,
        notice=digits.notice,
        location=digits.location,
    )


def compose(digits: Split, split: str, count: int, canvas: Canvas, seed: int) -> Split:
    """Composes scenes from the digits of one split.

    Args:
        digits: images `[n, 28, 28, 1]` with labels 0 to 9.
        split: `train`, `val` or `test`; each has random streams of its own.
        count: number of scenes.
        canvas: their size and content.
        seed: the only other source of variation.

    Returns:
        uint8 images `[count, height, width, 1]` and uint8 masks `[count, height, width]`, 0 for
        the background and d + 1 on the pixels of a digit d.

    Raises:
        DataError: so many scenes of this size do not fit into memory.
    """
    pixels = count * canvas.height * canvas.width
    if pixels > _MOST_PIXELS:
        raise DataError(
            f"expected data.{split}_scenes * data.height * data.width of at most "
            f"{_MOST_PIXELS:,} pixels; received {count} * {canvas.height} * {canvas.width}"
        )
    streams = _Streams(seed, _SPLITS.index(split))
    most = canvas.max_digits
    # Products of uniform numbers, cut to integers: unlike bounded integers, every draw takes
    # exactly one number from its stream.
    present = 1 + (streams.uniform((count,), _COUNT) * most).astype(int)
    which = (streams.uniform((count, most), _WHICH) * len(digits)).astype(int)
    corners = place(present, canvas, streams)
    images = np.zeros((count, canvas.height, canvas.width), np.uint8)
    masks = np.zeros_like(images)
    crops = digits.images[..., 0]
    for scene, number in enumerate(present.tolist()):
        for slot in range(number):
            top, left = corners[scene, slot].tolist()
            box = scene, slice(top, top + BOX), slice(left, left + BOX)
            crop = crops[which[scene, slot]]
            images[box] = crop
            masks[box] = (crop > INK) * np.uint8(digits.targets[which[scene, slot]] + 1)
    if canvas.noise:
        _add_noise(images, canvas.noise, streams)
    return Split(images[..., None], masks)


class _Streams:
    """Independent streams of random numbers, named by integers."""

    def __init__(self, seed: int, split: int):
        self._seed, self._split = seed, split

    def generator(self, *name: int) -> np.random.Generator:
        sequence = np.random.SeedSequence(self._seed, spawn_key=(self._split, *name))
        return np.random.Generator(np.random.PCG64(sequence))

    def uniform(self, shape: tuple[int, ...], *name: int) -> np.ndarray:
        """Uniform numbers in [0, 1); the first index counts scenes."""
        return self.generator(*name).random(shape)


def place(present: np.ndarray, canvas: Canvas, streams: _Streams) -> np.ndarray:
    """Finds positions for boxes that do not overlap.

    Boxes are placed one after the other, each uniformly among the positions that the earlier
    ones leave free, by rejection. A scene in which a box finds no place begins anew; after some
    rounds, which only crowded canvases need, what is left is placed on shelves.

    Args:
        present: `[scenes]`, how many boxes each scene holds, 1 to `canvas.max_digits`.
        canvas: the space that there is.
        streams: where the randomness comes from.

    Returns:
        `[scenes, max_digits, 2]` top and left; a scene's boxes beyond `present` have no meaning.
    """
    scenes, most = len(present), canvas.max_digits
    room = np.array([canvas.height - BOX + 1, canvas.width - BOX + 1])
    corners = _on_shelves(scenes, canvas, streams)
    left = np.arange(scenes)
    for round_ in range(_ROUNDS):
        placed = np.zeros((len(left), 0, 2), int)
        stands = np.ones(len(left), bool)
        for slot in range(most):
            draws = streams.uniform((scenes, _TRIES, 2), _PLACE, round_, slot)[left]
            tried = (draws * room).astype(int)
            apart = np.abs(tried[:, :, None] - placed[:, None]) >= BOX  # [scene, try, box, axis]
            free = apart.any(axis=-1).all(axis=-1)
            first = np.take_along_axis(tried, free.argmax(axis=1)[:, None, None], axis=1)
            placed = np.concatenate([placed, first], axis=1)
            stands &= free.any(axis=1) | (slot >= present[left])
        corners[left[stands]] = placed[stands]
        left = left[~stands]
        if not len(left):
            break
    return corners


def _on_shelves(scenes: int, canvas: Canvas, streams: _Streams) -> np.ndarray:
    """Places boxes in rows and columns with random gaps, which succeeds wherever cells fit."""
    rows, columns = canvas.height // BOX, canvas.width // BOX
    draws = streams.uniform((scenes, rows * columns + rows + rows * columns), _SHELF)
    order, down, across = np.split(draws, [rows * columns, rows * columns + rows], axis=1)
    cells = order.argsort(axis=1)[:, : canvas.max_digits]

    def offsets(gaps: np.ndarray, spare: int) -> np.ndarray:
        # Ascending gaps never push a box into the one before it.
        steps = np.sort((gaps * (spare + 1)).astype(int), axis=-1)
        return steps + BOX * np.arange(steps.shape[-1])

    tops = np.repeat(offsets(down, canvas.height - BOX * rows), columns, axis=1)
    lefts = offsets(across.reshape(scenes, rows, columns), canvas.width - BOX * columns)
    corners = np.stack([tops, lefts.reshape(scenes, -1)], axis=-1)
    return np.take_along_axis(corners, cells[..., None], axis=1)


def _add_noise(images: np.ndarray, deviation: float, streams: _Streams) -> None:
    """Puts the digits, as ink of their own opacity, over a noisy background; in place."""
    normal = streams.generator(_NOISE)
    for start in range(0, len(images), _NOISE_SCENES):
        some = images[start : start + _NOISE_SCENES]
        background = normal.standard_normal(some.shape, np.float32)
        background *= 255 * deviation
        np.clip(background, 0, 255, out=background)
        background *= (255 - some) / np.float32(255)
        background += some
        some[...] = np.rint(background)
