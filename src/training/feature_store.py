"""A backbone's features of pictures, computed once and kept in `outputs/features/`.

They are found by what they follow from: a picture's pixels, and the weights, the layers and their
sizes. A picture that was renamed or moved has the same, a changed one has others, and of pictures
that are added only these are computed.

Which pixels a split has is written down, too, with all that they follow from: the bytes of its
files, the settings, the code that reads them. Only when one of these is another are they read.
"""

from __future__ import annotations

import errno
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import PIL
import tensorflow as tf
from tqdm import tqdm

from src import files, runs
from src.data.examples import Around, Examples, Reader, Split, TrainingReader, allocate
from src.training.feature_rows import DIGEST, Rows, parted

FOLDER = runs.OUTPUTS / "features"
# The code that makes pixels of files.
_READERS = Path(__file__).parent.parent / "data"
_BATCH = 16
# Bytes of what is written down of a split, at most: of tens of millions of pictures.
_MOST = 1 << 30

Digests = list[bytes]
Listed = tuple[Digests, np.ndarray]


@dataclass(frozen=True)
class Featured(Around):
    """Pictures that are read as features.

    Attributes:
        values: float32 `[variants, examples, features]`, first those of the pictures as they are.
        targets: int32 labels `[examples]`.
    """

    values: np.ndarray
    targets: np.ndarray

    def __getitem__(self, examples: slice | np.ndarray) -> Featured:
        targets = self.targets[examples]
        return Featured(self.examples[examples], self.values[:, examples], targets)

    def reader(self) -> Reader:
        """Returns what gathers features of given indices inside a TensorFlow graph."""
        return Split(self.values[0], self.targets).reader()

    def training_reader(self, seed: int) -> TrainingReader:
        """Returns the same for training, in which a picture's variants take turns."""
        variants, examples, width = self.values.shape
        flat = Split(self.values.reshape(-1, width), np.tile(self.targets, variants)).reader()

        def read(indices: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            turn = (positions // examples + tf.cast(indices, tf.int64)) % variants
            return flat(tf.cast(indices, tf.int64) + turn * examples)

        return read


@dataclass(frozen=True)
class Pictures:
    """Whose features are asked for.

    Attributes:
        examples: pictures of one size with labels.
        what: name of the split, for the progress bar.
        known: what the pictures follow from: the digest of the split and the data's settings.
        variants: how many of each there are: the picture as evaluation sees it, and as training
            does.
        seed: of what training makes of them, together with the picture.
    """

    examples: Examples
    what: str
    known: str = ""
    variants: int = 1
    seed: int = 0


class FeatureStore:
    """The features of a network's pictures: read where they are kept, or computed and kept.

    What an interrupted process has computed is gone on with.

    Args:
        network: of pictures in [0, 1]; its weights must stay what they are.
        layer: whose output `[batch, features]` the features are.
    """

    def __init__(self, network: keras.Model, layer: str) -> None:
        inner = keras.Model(network.inputs[0], network.get_layer(layer).output)
        self._rows = Rows(FOLDER / f"{_key(inner)}.rows", inner.output_shape[-1])
        self._function = _function(inner)

    def of(self, pictures: Pictures) -> Featured:
        """The features of pictures.

        Raises:
            OSError: they cannot be kept.
        """
        FOLDER.mkdir(parents=True, exist_ok=True)
        shape = (pictures.variants, len(pictures.examples), self._rows.width)
        values = allocate(shape, np.dtype(np.float32))
        stills, targets = self._fill(pictures, values[0], None)
        for variant in range(1, pictures.variants):
            self._fill(pictures, values[variant], (variant, stills))
        return Featured(pictures.examples, values, targets)

    def _fill(
        self, pictures: Pictures, values: np.ndarray, variant: tuple[int, Digests] | None
    ) -> Listed:
        """Fills in the features of one variant; returns digests of its pixels, and the labels."""
        listing = FOLDER / f"{_identity(pictures, variant)}.pictures"
        listed = _listed(listing, len(values))
        if listed and not self._rows.find(listed[0], values):
            return listed
        # Two runs that begin at once would compute the same.
        with runs.exclusive(FOLDER / ".lock"):
            listed = _compute(self._rows, self._function, pictures, variant)
        if self._rows.find(listed[0], values):
            raise OSError(errno.EIO, "features that were written are not there", self._rows.path)
        _write_down(listing, *listed)
        return listed


def _compute(
    rows: Rows,
    compute: Callable[..., Any],
    pictures: Pictures,
    variant: tuple[int, Digests] | None,
) -> Listed:
    """Adds the rows that are missing; returns digests of the pixels, and the labels."""
    known = rows.known()
    digests: Digests = []
    targets: list[np.ndarray] = []
    waiting: dict[bytes, np.ndarray] = {}

    def add() -> None:
        # Always as many at once: of other numbers of them, a convolution may round in another way.
        images = np.stack([*waiting.values()])
        batch = np.resize(images, (_BATCH, *images.shape[1:])) / np.float32(255)
        rows.add(waiting, compute(tf.constant(batch)).numpy()[: len(images)])
        known.update(waiting)
        waiting.clear()

    what = f"features of {pictures.what}" + (f", variant {variant[0]}" if variant else "")
    off = not sys.stderr.isatty()
    with tqdm(
        total=len(pictures.examples), desc=what, unit=" pictures", leave=False, disable=off
    ) as bar:
        for part in _parts(pictures, variant):
            targets.append(part.targets)
            for image in part.images:
                digests.append(_digest(image))
                if digests[-1] not in known:
                    waiting[digests[-1]] = image
                if len(waiting) == _BATCH:
                    add()
                bar.update()
        if waiting:
            add()
    return digests, np.concatenate(targets).astype(np.int32)


def _parts(pictures: Pictures, variant: tuple[int, Digests] | None) -> Iterator[Split]:
    """The pictures in their order, some at a time in memory."""
    if variant is None:
        yield from pictures.examples.parts()
        return
    number, stills = variant
    read = pictures.examples.training_reader(pictures.seed)
    for begin in range(0, len(stills), _BATCH):
        some = stills[begin : begin + _BATCH]
        # What is random about a variant follows from the picture, wherever it stands.
        positions = [_number(hashlib.sha256(still + bytes([number])).digest()) for still in some]
        images, labels = read(tf.range(begin, begin + len(some)), tf.constant(positions, tf.int64))
        yield Split(images.numpy(), labels.numpy())


def _number(digest: bytes) -> int:
    """A number from 0 that fits into 63 bits."""
    return int.from_bytes(digest[:8]) >> 1


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(f"{image.shape} ".encode() + image.tobytes()).digest()


def _key(inner: keras.Model) -> str:
    """What the numbers follow from, but for the pictures."""
    policy = keras.config.dtype_policy().name
    total = hashlib.sha256(f"{policy} {inner.input_shape} {_BATCH}".encode())
    for layer in inner.layers:
        # The scaling is in the layers, as is the size that pictures are resized to.
        total.update(f"{type(layer).__name__} {layer.output.shape[1:]}".encode())
        total.update(f"{getattr(layer, 'scale', '')} {getattr(layer, 'offset', '')}".encode())
        for weight in layer.get_weights():
            total.update(weight.tobytes())
    return total.hexdigest()


def _identity(pictures: Pictures, variant: tuple[int, Digests] | None) -> str:
    """What the pixels of a split follow from."""
    total = hashlib.sha256(f"{pictures.known} {PIL.__version__} {tf.__version__}".encode())
    for path in sorted(_READERS.rglob("*.py")):
        total.update(path.read_bytes())
    if variant:
        total.update(f"{variant[0]} {pictures.seed}".encode())
    return total.hexdigest()


def _listed(path: Path, count: int) -> Listed | None:
    """The digests and the labels that were written down; None if there are no whole ones."""
    try:
        contents = files.read(path, _MOST)
    except FileNotFoundError:
        return None
    size = count * DIGEST
    whole = hashlib.sha256(contents[:-DIGEST]).digest() == contents[-DIGEST:]
    if not whole or len(contents) != size + 4 * count + DIGEST:
        return None
    return parted(contents[:size]), np.frombuffer(contents, "<i4", count, size).astype(np.int32)


def _write_down(path: Path, digests: Digests, targets: np.ndarray) -> None:
    contents = b"".join(digests) + targets.astype("<i4").tobytes()
    aside = path.with_suffix(".part")
    aside.unlink(missing_ok=True)
    with files.open_to_append(aside) as file:
        file.write(contents + hashlib.sha256(contents).digest())
    aside.replace(path)


def _function(inner: keras.Model) -> Callable[..., Any]:
    signature = tf.TensorSpec((_BATCH, *inner.input_shape[1:]), tf.float32)
    return tf.function(
        lambda x: inner(x, training=False), input_signature=[signature], autograph=False
    )
