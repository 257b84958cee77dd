"""Scores that come from one confusion matrix over the whole data set."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

Scores = Callable[[keras.KerasTensor], dict[str, keras.KerasTensor]]


@keras.saving.register_keras_serializable("deconv")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts truth against prediction, example by example or pixel by pixel.

    Its result is a dictionary, each entry of which Keras reports as a metric of its own.

    Args:
        classes: number of classes.
        scores: takes the counts `[truth, prediction]` as float32 and names the scores.
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
        y_true: keras.KerasTensor,
        y_pred: keras.KerasTensor,
        sample_weight: None = None,
    ) -> None:
        """Adds labels `[batch, ...]` against logits `[batch, ..., classes]`."""
        truth = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        prediction = ops.reshape(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), (-1,))
        cells = ops.bincount(truth * self.classes + prediction, minlength=self.classes**2)
        cells = ops.reshape(cells, (self.classes, self.classes))
        self.counts.assign_add(ops.cast(cells, "int64"))

    def result(self) -> dict[str, keras.KerasTensor]:
        """Scores of everything counted since the last reset."""
        return self.scores(ops.cast(self.counts, "float32"))


def accuracy(counts: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """Share of the examples whose class is right."""
    return {"accuracy": _share(ops.trace(counts), ops.sum(counts))}


def segmentation_scores(counts: keras.KerasTensor) -> dict[str, keras.KerasTensor]:
    """Pixel accuracy and mean IoU (Long et al. 2015, section 5).

    A class that neither the truth nor the prediction holds is left out of the mean.
    """
    hits = ops.diagonal(counts)
    union = ops.sum(counts, axis=0) + ops.sum(counts, axis=1) - hits
    present = ops.cast(union > 0, "float32")
    return {
        "mean_iou": _share(ops.sum(_share(hits, union)), ops.sum(present)),
        "global_accuracy": _share(ops.sum(hits), ops.sum(counts)),
    }


def _share(part: keras.KerasTensor, whole: keras.KerasTensor) -> keras.KerasTensor:
    return part / ops.maximum(whole, 1)
