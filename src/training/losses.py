"""Cross entropy with smoothed labels, and over pixels that are void or weighted by class."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from src.kernels import pixels
from src.tensors import Tensor


class SmoothedCrossEntropy(keras.losses.Loss):
    """Softmax cross entropy in nats with label smoothing (Szegedy et al. 2016, section 7).

    Args:
        smoothing: the part of a label's weight that is spread evenly over all classes.
        weights: of the examples of each class; None for 1. A batch's loss is divided by its
            examples, not by their weights.
    """

    def __init__(self, smoothing: float, weights: Sequence[float] | None = None) -> None:
        super().__init__(name="smoothed_cross_entropy")
        self.smoothing = smoothing
        self.weights = weights

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Labels `[batch]` against logits `[batch, classes]`."""
        labels = ops.cast(y_true, "int32")
        truth = ops.one_hot(labels, y_pred.shape[-1])
        losses = keras.losses.categorical_crossentropy(
            truth, y_pred, from_logits=True, label_smoothing=self.smoothing
        )
        if self.weights is None:
            return losses
        return ops.take(ops.convert_to_tensor(self.weights, losses.dtype), labels) * losses


class PixelCrossEntropy(keras.losses.Loss):
    """Softmax cross entropy in nats, the mean over the pixels of a batch that are not void.

    `sum(weight[label] * loss) / number of pixels that are not void`: divided by the pixels and not
    by their weights, a class weighs the same in every batch, also in one that holds no other. A
    batch of nothing but void has loss 0, and the gradient of a void pixel is exactly 0.

    Args:
        classes: number of classes; a label from there on is void.
        weights: of each class; None for 1.
    """

    def __init__(self, classes: int, weights: Sequence[float] | None = None) -> None:
        super().__init__(name="pixel_cross_entropy")
        self.classes = classes
        self.weights = [1.0] * classes if weights is None else list(weights)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Labels `[batch, height, width]` against logits `[batch, height, width, classes]`."""
        weights = ops.convert_to_tensor(self.weights, y_pred.dtype)
        # Keras divides a vector, but no scalar, among the replicas of a distributed step.
        return pixels.cross_entropy(ops.convert_to_tensor(y_true), y_pred, weights)[None]


def median_frequency(pixels: np.ndarray, present: np.ndarray) -> tuple[float, ...]:
    """Class weights that balance frequencies: `median(frequency) / frequency`.

    Eigen and Fergus 2015, section 6.3.2. A class without a pixel has no part in the median and
    the weight 1.

    Args:
        pixels: of each class in all training masks, `[classes]`.
        present: non-void pixels of the masks that hold the class, `[classes]`.
    """
    held = pixels > 0
    frequency = pixels[held] / present[held]
    weights = np.ones(len(pixels))
    if held.any():
        weights[held] = np.median(frequency) / frequency
    return tuple(weights.tolist())


def balanced(examples: np.ndarray, total: np.ndarray) -> tuple[float, ...]:
    """Class weights with which all classes count alike: `total / (classes * examples)`.

    As `class_weight="balanced"` of scikit-learn. A class without an example has the weight 1, and
    is none of the classes.

    Args:
        examples: training examples of each class, `[classes]`.
        total: how many training examples there are, `[classes]`.
    """
    held = examples > 0
    weights = np.ones(len(examples))
    weights[held] = total[held] / (held.sum() * examples[held])
    return tuple(weights.tolist())
