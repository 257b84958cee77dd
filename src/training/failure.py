"""The step whose loss was not finite, however many steps one call trains."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class FirstFailure:
    """Notes inside a graph at which step the loss was first not finite."""

    def __init__(self) -> None:
        self._step = keras.Variable(0, dtype="int64", trainable=False)

    @property
    def step(self) -> int:
        """Counted from 1; 0 if there was none."""
        return int(self._step)

    def note(self, step: Any, loss: Any) -> None:
        """Looks at the running mean of an epoch, which stays what its first bad loss has made it.

        Args:
            step: steps trained, an int64 scalar.
            loss: the mean so far.
        """
        bad = ops.logical_and(self._step == 0, ops.logical_not(ops.isfinite(loss)))
        self._step.assign(ops.where(bad, step, self._step))
