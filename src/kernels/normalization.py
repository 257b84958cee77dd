"""Batch normalisation in one operation, for maps `[batch, height, width, channels]`.

Keras brings maps of bfloat16 to float32, takes their moments and scales them, each a pass over the
maps in memory, and as many again for the gradients. TensorFlow's own operation reads the maps in
their precision and counts in float32.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from src.tensors import Tensor

# cuDNN refuses a smaller one.
_LEAST_EPSILON = 1.001e-5


def matches(layer: layers.BatchNormalization, shape: tuple[int | None, ...]) -> bool:
    """Whether a layer normalises maps of a shape as `batch_normalization` does."""
    return (
        keras.backend.backend() == "tensorflow"
        and len(shape) == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.renorm
        and not layer.synchronized
        and layer.epsilon >= _LEAST_EPSILON
    )


def batch_normalization(layer: layers.BatchNormalization, x: Tensor, training: bool) -> Tensor:
    """What a layer makes of maps (Ioffe and Szegedy 2015, algorithm 1).

    Args:
        layer: whose weights are used; in training its moving mean and variance are updated.
        x: `[batch, height, width, channels]`.
        training: whether the batch's own moments are used; of a frozen layer they never are.
    """
    import tensorflow as tf

    own = training and layer.trainable
    mean, variance = (
        ops.convert_to_tensor(moving) for moving in (layer.moving_mean, layer.moving_variance)
    )
    y, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=ops.convert_to_tensor(layer.gamma),
        offset=ops.convert_to_tensor(layer.beta),
        mean=mean,
        variance=variance,
        epsilon=layer.epsilon,
        is_training=own,
    )
    if own:
        # It estimates the variance of all maps there are; Keras keeps that of the batch.
        count = ops.cast(ops.size(x) // x.shape[-1], variance.dtype)
        batch_variance *= (count - 1) / count
        for moving, old, new in (
            (layer.moving_mean, mean, batch_mean),
            (layer.moving_variance, variance, batch_variance),
        ):
            moving.assign(old * layer.momentum + new * (1 - layer.momentum))
    return y
