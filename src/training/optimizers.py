"""The update rule and its learning rate."""

from __future__ import annotations

import math

import keras
from keras import ops

from src import config
from src.kernels.adam import Adam
from src.tensors import Tensor


@keras.saving.register_keras_serializable("deconv")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate as a function of the step.

    Args:
        peak: the rate after the warm-up.
        shape: `constant`, `cosine` (to zero at `total_steps`), or `staircase`.
        total_steps: step at which it ends.
        steps_per_epoch: width of a stair.
        decay: factor from one stair to the next.
        warmup_steps: steps over which the rate grows linearly to `peak`.
        first_step: step at which it begins.
    """

    def __init__(
        self,
        peak: float,
        shape: str,
        total_steps: int,
        steps_per_epoch: int,
        decay: float = 0.99,
        warmup_steps: int = 0,
        first_step: int = 0,
    ) -> None:
        self.settings = {
            "peak": peak,
            "shape": shape,
            "total_steps": total_steps,
            "steps_per_epoch": steps_per_epoch,
            "decay": decay,
            "warmup_steps": warmup_steps,
            "first_step": first_step,
        }
        self.peak, self.shape, self.decay = peak, shape, decay
        self.total_steps, self.steps_per_epoch = total_steps, steps_per_epoch
        self.warmup_steps, self.first_step = warmup_steps, first_step

    def __call__(self, step: Tensor) -> Tensor:
        """The rate of the update that follows after `step` updates."""
        now = ops.cast(step, "float32") - self.first_step
        factor = ops.ones_like(now)
        if self.shape == "cosine":
            span = max(1, self.total_steps - self.first_step - self.warmup_steps)
            done = ops.clip((now - self.warmup_steps) / span, 0.0, 1.0)
            factor = (1 + ops.cos(math.pi * done)) / 2
        elif self.shape == "staircase":
            steps = ops.cast(step, "int64") - self.first_step
            epoch = ops.cast(steps // self.steps_per_epoch, "float32")
            factor = ops.power(self.decay, epoch)
        if self.warmup_steps:
            factor = ops.minimum(factor, (now + 1) / self.warmup_steps)
        return self.peak * factor

    def get_config(self) -> dict[str, object]:
        """Returns what rebuilds the schedule."""
        return dict(self.settings)


def build(
    optimizer: config.Optimizer, total_steps: int, steps_per_epoch: int, first_step: int = 0
) -> keras.optimizers.Optimizer:
    """Builds the optimizer for the steps of a run from `first_step` to `total_steps`.

    With `schedule=plateau` the rate is a variable, which `saver.Progress` lowers.
    """
    rate: Schedule | float = optimizer.learning_rate
    if optimizer.schedule != "plateau":
        rate = Schedule(
            optimizer.learning_rate,
            optimizer.schedule,
            total_steps,
            steps_per_epoch,
            optimizer.decay,
            optimizer.warmup_steps,
            first_step,
        )
    decay = optimizer.weight_decay or None
    if optimizer.name == "adam":
        return Adam(rate, weight_decay=decay, first_step=first_step)
    sgd = keras.optimizers.SGD(rate, momentum=optimizer.momentum, weight_decay=decay)
    sgd.iterations.assign(first_step)
    return sgd
