"""Pictures with a mask or a label each: checked once, kept in memory as far as they fit.

Whether a picture is kept or decoded again, its pixels are the same: one decoder serves both, and
it is Pillow, which reads the numbers of a palette's entries where TensorFlow reads their colours.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from src.data.decode import Source

# A picture `[height, width, channels]`, and its mask `[height, width]` or its label, a number.
Example = tuple[np.ndarray, np.ndarray]
Decode = Callable[[Any, tuple[bytes, bytes]], Example]


@dataclass(frozen=True)
class Store:
    """All pictures of a split, checked.

    Attributes:
        sources: where each comes from.
        decode: makes an example of what a source reads.
        kept: examples, or None where there was no room: those are decoded whenever they are read.
        sizes: int `[pictures, 2]`, height and width.
        counts: of masks int64 `[pictures, classes]`, pixels of each class; of labels int64
            `[pictures]`, the labels.
        contents: SHA-256 of each encoded image.
        digest: SHA-256 of the keys and of what the sources read, in order.
    """

    sources: Sequence[Source]
    decode: Decode
    kept: Sequence[Example | None]
    sizes: np.ndarray
    counts: np.ndarray
    contents: Sequence[bytes]
    digest: bytes

    def __len__(self) -> int:
        return len(self.sources)

    def all_of(self, height: int, width: int) -> Store:
        """The store of pictures all of which are evaluated at one size."""
        return replace(self, sizes=np.full((len(self), 2), (height, width)))

    def example(self, number: int) -> Example:
        """Image, and mask or label."""
        source = self.sources[number]
        return self.kept[number] or self.decode(source, source.read())


def digests(stores: Mapping[str, Store]) -> dict[str, str]:
    """The SHA-256 of each split."""
    return {split: store.digest.hex() for split, store in stores.items()}


def scan_all(
    sources: Mapping[str, Sequence[Source]],
    decoders: Mapping[str, Decode],
    count: Callable[[np.ndarray], np.ndarray],
    memory_budget: int,
) -> dict[str, Store]:
    """Decodes and checks the pictures of every split, and keeps what fits into memory.

    Args:
        sources: of each split.
        decoders: of each split.
        count: computes from a target what `Store.counts` holds of it.
        memory_budget: how many mebibytes the examples may take that are kept.

    Raises:
        DataError: the first picture that is damaged or does not fit, by name.
    """
    room, stores = memory_budget * 2**20, {}
    for split, some in sources.items():
        stores[split] = store = scan(some, decoders[split], count, room, split)
        room -= sum(image.nbytes + target.nbytes for image, target in filter(None, store.kept))
    return stores


def scan(
    sources: Sequence[Source],
    decode: Decode,
    count: Callable[[np.ndarray], np.ndarray],
    room: int,
    what: str,
) -> Store:
    """Decodes and checks pictures in parallel, and keeps what fits into `room` bytes.

    Raises:
        DataError: the first picture that is damaged or whose mask does not fit it.
    """

    def examine(source: Source) -> tuple[Example, np.ndarray, list[bytes]]:
        encoded = source.read()
        example = decode(source, encoded)
        return example, count(example[1]), [hashlib.sha256(part).digest() for part in encoded]

    kept: list[Example | None] = []
    sizes, counts, contents, total = [], [], [], hashlib.sha256()
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for source, ((image, target), numbers, parts) in zip(
            sources,
            tqdm(
                pool.map(examine, sources),
                f"checking {what}",
                len(sources),
                leave=False,
                disable=not sys.stderr.isatty(),
            ),
            strict=True,
        ):
            room -= image.nbytes + target.nbytes
            kept.append((image, target) if room >= 0 else None)
            sizes.append(image.shape[:2])
            counts.append(numbers)
            contents.append(parts[0])
            key = source.key.encode("utf-8", "surrogateescape")
            total.update(hashlib.sha256(b"".join([key, *parts])).digest())
    finally:
        pool.shutdown(cancel_futures=True)
    arrays = np.array(sizes), np.array(counts)
    return Store(sources, decode, kept, *arrays, contents, total.digest())
