"""Evaluation by a picture and its mirror image (test-time augmentation)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Mirrored(keras.Model):
    """A model whose output is the mean of another's for a picture and for its mirror image.

    An output that is a map is mirrored back first. Logits stay logits. It shares the weights, and
    takes twice the time.

    Args:
        model: of pictures `[batch, height, width, channels]`; it computes as in evaluation.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name=model.name)
        self.model = model

    def call(self, inputs: Any, training: bool | None = None, mask: None = None) -> Any:
        """Passes a batch through the model twice."""
        del training, mask
        outputs = self.model(inputs, training=False)
        others = self.model(ops.flip(inputs, axis=2), training=False)
        if len(others.shape) == 4:
            others = ops.flip(others, axis=2)
        return (outputs + others) / 2
