"""Adam in one operation a weight."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from src.tensors import Tensor


@keras.saving.register_keras_serializable("deconv")
class Adam(keras.optimizers.Adam):
    """Keras' Adam (Kingma and Ba 2015, algorithm 1 in the form of section 2) in one pass a weight.

    Keras writes the update as a dozen operations, each of which reads and writes the whole weight;
    TensorFlow has the same update as one.

    Args:
        *args: Keras' own.
        first_step: `iterations` before the first update, where the moments begin at zero.
        **kwargs: Keras' own.
    """

    def __init__(self, *args: Any, first_step: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.first_step = first_step
        self.iterations.assign(first_step)

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        """Updates a weight and its two moments."""
        index = self._get_variable_index(variable)
        step = ops.cast(self.iterations - self.first_step + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(self.beta_1, step),
            beta2_power=ops.power(self.beta_2, step),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=ops.cast(gradient, variable.dtype),
        )

    def get_config(self) -> dict[str, Any]:
        """Returns what rebuilds the optimizer."""
        return {**super().get_config(), "first_step": self.first_step}
