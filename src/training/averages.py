"""Moving averages of the weights, with TensorFlow 1's warm-up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
from keras import ops


class Averages:
    """Moving averages of weights, which stay a model's own and come back bit for bit.

    After update number n (from 1) `average += (1 - d) * (weight - average)` with
    `d = min(decay, (1 + n) / (10 + n))`; the averages begin at the initial weights
    (`tf.train.ExponentialMovingAverage` with `num_updates`).

    Keras tracks neither this object nor its variables: what a model saves as its weights are the
    raw ones.

    Args:
        weights: what is averaged.
        decay: in [0, 1), or None to keep no averages.
    """

    def __init__(self, weights: Sequence[keras.Variable], decay: float | None) -> None:
        self.decay = decay
        self.weights = list(weights) if decay is not None else []
        self.variables = [
            keras.Variable(ops.copy(weight), dtype=weight.dtype, trainable=False)
            for weight in self.weights
        ]

    def update(self, step: object) -> None:
        """Moves the averages towards the weights, after update number `step`."""
        if self.decay is None:
            return
        updates = ops.cast(step, "float32")
        decay = ops.minimum(self.decay, (1 + updates) / (10 + updates))
        for average, weight in zip(self.variables, self.weights, strict=True):
            average.assign_add((1 - decay) * (weight - average))

    def restart(self) -> None:
        """Makes the averages what the weights are now."""
        for average, weight in zip(self.variables, self.weights, strict=True):
            average.assign(weight)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within the block the weights are the averages, if there are any."""
        raw = [ops.copy(weight) for weight in self.weights]
        try:
            for weight, average in zip(self.weights, self.variables, strict=True):
                weight.assign(average)
            yield
        finally:
            for weight, value in zip(self.weights, raw, strict=True):
                weight.assign(value)
