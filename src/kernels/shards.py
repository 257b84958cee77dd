"""A batch in parts that pass through a network side by side, each on processors of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from keras import ops

from src.tensors import Tensor


def in_shards(
    forward: Callable[..., Tensor], inputs: Tensor, count: int, **kwargs: object
) -> Tensor:
    """What `forward` makes of a batch, part by part.

    Args:
        forward: takes a batch and `kwargs`, and treats its examples each by itself.
        inputs: `[batch, ...]`.
        count: how many parts; none of them is empty.
        **kwargs: handed on.
    """
    if count == 1:
        return forward(inputs, **kwargs)
    batch, padded = _at_least(count, inputs)
    ends = [ops.shape(padded)[0] * part // count for part in range(count + 1)]
    outputs = [forward(padded[begin:end], **kwargs) for begin, end in itertools.pairwise(ends)]
    return ops.concatenate(outputs)[:batch]


def _at_least(count: int, inputs: Tensor) -> tuple[int, Tensor]:
    """The size of a batch, and the batch with examples of zeros after its own if it has too few.

    TensorFlow's convolutions refuse a batch of none.
    """
    batch = ops.shape(inputs)[0]
    if isinstance(batch, int) and batch >= count:
        return batch, inputs
    missing = ops.maximum(count - batch, 0)
    return batch, ops.pad(inputs, [(0, missing), *[(0, 0)] * (len(inputs.shape) - 1)])
