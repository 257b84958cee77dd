"""Scores that come from one confusion matrix over the whole data set."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from src.kernels import pixels
from src.tensors import Tensor

Scores = Callable[[Tensor], dict[str, Tensor]]


@keras.saving.register_keras_serializable("deconv")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts truth against prediction, example by example or pixel by pixel.

    A label from `classes` on is void and not counted. The result is a dictionary, each entry of
    which Keras reports as a metric of its own.

    Args:
        classes: number of classes.
        scores: takes the counts `[truth, prediction]`, int64, and names the scores.
    """

    def __init__(self, classes: int, scores: Scores, name: str = "confusion") -> None:
        super().__init__(name=name)
        self.classes = classes
        self.scores = scores
        # Counts of pixels soon pass 2^24, where float32 stops counting.
        self.counts = self.add_variable(
            shape=(classes, classes), initializer="zeros", dtype="int64", name="counts"
        )

    def update_state(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: None = None,
    ) -> None:
        """Adds labels `[batch, ...]` against logits `[batch, ..., classes]`."""
        truth = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        prediction = ops.reshape(pixels.largest(ops.convert_to_tensor(y_pred)), (-1,))
        # Void has a row of its own, the last, which is cut off.
        cells = ops.minimum(truth, self.classes) * self.classes + prediction
        counts = ops.bincount(cells, minlength=(self.classes + 1) * self.classes)
        counts = ops.reshape(counts, (self.classes + 1, self.classes))[: self.classes]
        self.counts.assign_add(ops.cast(counts, "int64"))

    def result(self) -> dict[str, Tensor]:
        """Scores of everything counted since the last reset."""
        return self.scores(ops.convert_to_tensor(self.counts))


def accuracy(counts: Tensor) -> dict[str, Tensor]:
    """Share of the examples whose class is right; of no examples NaN."""
    return {"accuracy": _share(ops.trace(counts), ops.sum(counts))}


def segmentation_scores(counts: Tensor) -> dict[str, Tensor]:
    """Scores of a segmentation (Long et al. 2015, section 5), in [0, 1].

    `mean_iou` is the mean over the classes that the truth or the prediction holds,
    `class_accuracy` (the paper's mean accuracy) over those that the truth holds,
    `global_accuracy` (its pixel accuracy) that of all pixels. Of nothing but void all are NaN.
    """
    hits, truth = ops.diagonal(counts), ops.sum(counts, axis=1)
    union = truth + ops.sum(counts, axis=0) - hits
    return {
        "mean_iou": _mean_share(hits, union),
        "global_accuracy": _share(ops.sum(hits), ops.sum(counts)),
        "class_accuracy": _mean_share(hits, truth),
    }


def class_iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, NaN where neither truth nor prediction holds it.

    Args:
        counts: `[truth, prediction]`.
    """
    hits = np.diagonal(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    # Integers are added up exactly and rounded once.
    share = ops.cast(part, "float32") / ops.cast(ops.maximum(whole, 1), "float32")
    return ops.where(whole > 0, share, float("nan"))


def _mean_share(parts: Tensor, wholes: Tensor) -> Tensor:
    """The mean share over those that are a part of something."""
    shares = ops.cast(parts, "float32") / ops.cast(ops.maximum(wholes, 1), "float32")
    there = ops.sum(ops.cast(wholes > 0, "float32"))
    return ops.where(there > 0, ops.sum(shares) / ops.maximum(there, 1.0), float("nan"))
