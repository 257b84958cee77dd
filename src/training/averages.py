"""Moving averages of the weights, with TensorFlow 1's warm-up, and the step that went wrong.

Both are kept inside the training step, so that every step counts however many of them one call
trains; the raw weights stay the model's own and come back bit for bit after an evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import ops

from src.kernels.accelerate import accelerate
from src.kernels.shards import in_shards


class AveragedModel(keras.Model):
    """A functional model that keeps moving averages of its trainable weights.

    After update number n (from 1) `average += (1 - d) * (weight - average)` with
    `d = min(decay, (1 + n) / (10 + n))`; the averages begin at the initial weights
    (`tf.train.ExponentialMovingAverage` with `num_updates`).

    Args:
        model: what is trained; the two share their layers.
        decay: in [0, 1), or None to keep no averages.
        shards: into how many parts a batch is divided, which pass through the layers side by side.
    """

    def __init__(self, model: keras.Model, decay: float | None, shards: int = 1) -> None:
        super().__init__(model.inputs, model.outputs, name=model.name)
        self.network = model
        self._forward = accelerate(model)
        self.shards = shards
        self.decay = decay
        # Not weights of the model: what it saves as its weights are the raw ones.
        self.averages = _Untracked(
            [
                keras.Variable(ops.copy(weight), dtype=weight.dtype, trainable=False)
                for weight in (self.trainable_weights if decay is not None else [])
            ]
        )
        self._failed = _Untracked([keras.Variable(0, dtype="int64", trainable=False)])

    @property
    def failed_step(self) -> int:
        """The first step whose loss was not finite, counted from 1; 0 if there was none."""
        return int(self._failed.variables[0])

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None, mask: None = None
    ) -> keras.KerasTensor:
        """Passes a batch through the layers, shard by shard."""
        if isinstance(inputs, keras.KerasTensor):
            return super().call(inputs, training=training, mask=mask)
        return in_shards(self._forward, inputs, self.shards, training=training, mask=mask)

    def train_step(self, data: object) -> dict[str, keras.KerasTensor]:
        """Trains on a batch and updates the averages."""
        logs = super().train_step(data)
        step, (failed,) = ops.cast(self.optimizer.iterations, "int64"), self._failed.variables
        # The running mean of an epoch stays what its first bad loss has made of it.
        bad = ops.logical_and(failed == 0, ops.logical_not(ops.isfinite(logs["loss"])))
        failed.assign(ops.where(bad, step, failed))
        if self.decay is not None:
            updates = ops.cast(step, "float32")
            decay = ops.minimum(self.decay, (1 + updates) / (10 + updates))
            for average, weight in zip(
                self.averages.variables, self.trainable_weights, strict=True
            ):
                average.assign_add((1 - decay) * (weight - average))
        return logs

    def restart_averages(self) -> None:
        """Makes the averages what the weights are now."""
        for average, weight in zip(self.averages.variables, self.trainable_weights, strict=False):
            average.assign(weight)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the weights are the averages, if there are any."""
        pairs = list(zip(self.trainable_weights, self.averages.variables, strict=False))
        raw = [ops.copy(weight) for weight, _ in pairs]
        try:
            for weight, average in pairs:
                weight.assign(average)
            yield
        finally:
            for (weight, _), value in zip(pairs, raw, strict=True):
                weight.assign(value)


class _Untracked:
    """Holds variables where Keras, which tracks lists of them, does not look."""

    def __init__(self, variables: list[keras.Variable]) -> None:
        self.variables = variables
