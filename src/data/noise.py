"""Noise for a denoising autoencoder: what the model takes is corrupted, what it aims at is not."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Noise:
    """Normal noise on every pixel, clipped to [0, 1] (Vincent et al. 2010, section 3.3).

    It is a function of the seed and of a number alone, so that a resumed run sees what it would
    have seen: of a training batch the step, of an evaluation batch the number below zero.

    Attributes:
        deviation: standard deviation, in units of the pixel range; 0 for no noise.
        seed: the run's.
    """

    deviation: float = 0.0
    seed: int = 0

    def __call__(
        self, images: tf.Tensor, number: tf.Tensor | int, part: tf.Tensor | int = 0, parts: int = 1
    ) -> tf.Tensor:
        """Corrupts a batch, or one of its equal parts as it would be in the whole batch.

        Args:
            images: floats in [0, 1], `[batch, height, width, channels]`.
            number: of the batch.
            part: which part the images are, counted from 0.
            parts: how many parts the batch has.
        """
        if not self.deviation:
            return images
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(number, tf.int64)])
        # By name: what TensorFlow chooses by itself depends on the device.
        examples = tf.shape(images)[0]
        whole = tf.concat([[parts * examples], tf.shape(images)[1:]], axis=0)
        normal = tf.random.stateless_normal(whole, seed, alg="philox")
        if parts > 1:
            begin = tf.cast(part, tf.int32) * examples
            normal = normal[begin : begin + examples]
        return tf.clip_by_value(images + self.deviation * normal, 0, 1)


NONE = Noise()
