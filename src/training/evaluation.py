"""One pass over a data set that gives its metrics and, where wanted, what the model made of it.

Keras' `evaluate` and `predict` would trace and run the model twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def evaluate(
    model: keras.Model, batches: tf.data.Dataset, keep: bool
) -> tuple[dict[str, float], np.ndarray | None, np.ndarray | None]:
    """Evaluates a compiled model, in the order and to the sums of its `evaluate`.

    Only where the outputs are kept are they returned from the graph: TensorFlow fuses one that ends
    in a loss otherwise, and in bfloat16 the sums then differ in the sixth digit.

    Args:
        model: compiled with a loss and a metric.
        batches: pairs of an input and a target.
        keep: whether targets and outputs are returned.

    Returns:
        The metrics by name, the loss among them; the targets `[examples, ...]` and the outputs
        `[examples, ...]`, both None unless they are kept.
    """
    if not keep:
        values = model.evaluate(batches, verbose=0, return_dict=True)
        return {name: float(value) for name, value in values.items()}, None, None
    step = _step(model, model.metrics[0])
    model.reset_metrics()
    kept = []
    for inputs, targets in batches:
        outputs = step(inputs, targets)
        kept.append((targets.numpy(), outputs.numpy()))
    values = {}
    for name, value in model.get_metrics_result().items():
        # A metric whose result is a dictionary counts as several.
        scores = value if isinstance(value, dict) else {name: value}
        values |= {score: float(number) for score, number in scores.items()}
    return values, np.concatenate([t for t, _ in kept]), np.concatenate([o for _, o in kept])


@functools.lru_cache(maxsize=1)
def _step(model: keras.Model, loss_tracker: keras.metrics.Metric) -> Step:
    """A step of an evaluation, traced once however many data sets are evaluated."""

    @tf.function(reduce_retracing=True, autograph=False)
    def step(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        outputs = model(inputs, training=False)
        loss = model.compute_loss(inputs, targets, outputs, training=False)
        loss_tracker.update_state(loss, sample_weight=tf.shape(inputs)[0])
        model.compute_metrics(inputs, targets, outputs)
        return outputs

    return step
