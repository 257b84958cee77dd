"""What a model is asked to do: targets, loss, metrics, the metric to watch, and the figures.

The only place that tells classification, reconstruction and segmentation apart.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from src import config, figures
from src.config.model import WATCHED, Mode
from src.data.dataset import DataSet
from src.data.examples import Examples, Split
from src.files import clipped
from src.training import baselines, losses, metrics

log = logging.getLogger("deconv")
Figures = dict[str, figures.Picture]

_MISTAKES = 24


class Task:
    """One of the three tasks.

    Attributes:
        watched: the metric on the validation set that decides which checkpoint is the best.
        mode: whether more or less of it is better.
        metrics: what Keras measures beside the loss; a further one is one more entry, such as
            `keras.metrics.SparseTopKCategoricalAccuracy(5, name="top_5")`.
        draws_examples: whether `draw_examples` has figures.
        draws_split: whether `draw_split` has figures.
    """

    watched: str
    mode: Mode
    metrics: list[keras.metrics.Metric]
    draws_examples = True
    draws_split = False

    def __init__(self, data: DataSet) -> None:
        self.classes = data.classes

    @property
    def loss(self) -> keras.losses.Loss:
        """What is minimised: softmax cross entropy in nats, the mean over the examples."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def preprocess(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The model's input and what its output is compared with: images and their targets."""
        return images, targets

    def counted(self, targets: tf.Tensor) -> tf.Tensor | None:
        """How much the loss of a batch is the mean of, a scalar; None if it is its examples."""
        del targets
        return None

    def draw_examples(self, examples: Split, inputs: np.ndarray, outputs: np.ndarray) -> Figures:
        """Figures of the outputs for the run's fixed examples, given as the model takes them."""
        del examples, inputs, outputs
        return {}

    def draw_split(self, split: Examples, targets: np.ndarray, outputs: np.ndarray) -> Figures:
        """Figures that take the targets and outputs of a whole split."""
        del split, targets, outputs
        return {}

    def draw_counts(self) -> Figures:
        """Figures of what the metric has counted since its last reset."""
        return {}

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """Scores class by class of what the metric has counted; None for an absent class."""
        return {}

    def baselines(
        self, splits: Mapping[str, Examples], split: str, latent: int | None
    ) -> Mapping[str, float]:
        """Scores on a split of simple methods fitted to `train`, for comparison."""
        del splits, split, latent
        return {}

    def better(self, score: float, best: float | None) -> bool:
        """Whether `score` of the watched metric is an improvement; NaN never is one."""
        return best is None or (score > best if self.mode == "max" else score < best)


class Classify(Task):
    """One label an image; the model returns logits `[batch, classes]`."""

    watched, mode = WATCHED["classification"]
    # Ten labels are no picture.
    draws_examples = False
    draws_split = True

    def __init__(
        self,
        data: DataSet,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(data)
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        self.confusion = metrics.ConfusionMatrix(len(data.classes), metrics.accuracy)
        self.metrics = [self.confusion]

    @property
    def loss(self) -> keras.losses.Loss:
        """Softmax cross entropy in nats, the mean over the examples; smoothed, weighed if asked."""
        smoothing, weights = self.label_smoothing, self.class_weights
        if not smoothing and weights is None:
            return super().loss
        return losses.SmoothedCrossEntropy(smoothing, weights)

    def draw_counts(self) -> Figures:
        """The confusion matrix."""
        counts = np.asarray(self.confusion.counts)
        return drawn("confusion_matrix", lambda: figures.confusion_matrix(counts, self.classes))

    def draw_split(self, split: Examples, targets: np.ndarray, outputs: np.ndarray) -> Figures:
        """The mistakes that the model was surest of."""
        probabilities = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        sure = probabilities.max(axis=-1) / probabilities.sum(axis=-1)
        predicted = outputs.argmax(axis=-1)
        wrong = np.flatnonzero(predicted != targets)
        # Only what is shown has to come into memory.
        shown = wrong[np.argsort(-sure[wrong], kind="stable")][:_MISTAKES]

        def draw() -> figures.Picture:
            images = split[shown].arrays().images if len(shown) else np.zeros((0, 1, 1, 1))
            return figures.worst_mistakes(
                images / np.float32(255),
                targets[shown],
                predicted[shown],
                sure[shown],
                self.classes,
                total=len(targets),
            )

        return drawn("worst_mistakes", draw)


class Reconstruct(Task):
    """The image itself; the model returns images `[batch, height, width, channels]` in [0, 1]."""

    watched, mode = WATCHED["reconstruction"]

    def __init__(self, data: DataSet) -> None:
        super().__init__(data)
        self.metrics = [keras.metrics.MeanSquaredError(name="mse")]

    @property
    def loss(self) -> keras.losses.Loss:
        """Mean squared error a pixel."""
        return keras.losses.MeanSquaredError()

    def preprocess(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The images twice."""
        del targets
        return images, images

    def draw_examples(self, examples: Split, inputs: np.ndarray, outputs: np.ndarray) -> Figures:
        """Inputs, reconstructions and errors; of noisy inputs the clean ones as well."""
        clean = examples.images / np.float32(255)
        noisy = None if np.array_equal(clean, inputs) else inputs
        return drawn(
            "reconstructions", lambda: figures.reconstructions(clean, outputs, noisy=noisy)
        )

    def baselines(
        self, splits: Mapping[str, Examples], split: str, latent: int | None
    ) -> Mapping[str, float]:
        """MSE a pixel of the mean image, and of PCA with as many components as the code."""
        return baselines.reconstruction(splits["train"], splits[split], latent or 0)


class Segment(Task):
    """One class a pixel; the model returns logits `[batch, height, width, classes]`."""

    watched, mode = WATCHED["segmentation"]

    def __init__(self, data: DataSet, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(data)
        self.colours, self.void = data.colours, data.void
        self.class_weights = class_weights
        self.confusion = metrics.ConfusionMatrix(len(data.classes), metrics.segmentation_scores)
        self.metrics = [self.confusion]

    @property
    def loss(self) -> keras.losses.Loss:
        """Softmax cross entropy in nats, the mean over the pixels that are not void."""
        return losses.PixelCrossEntropy(len(self.classes), self.class_weights)

    def counted(self, targets: tf.Tensor) -> tf.Tensor:
        """The pixels that are not void."""
        return tf.reduce_sum(tf.cast(targets < len(self.classes), tf.float32))

    def draw_examples(self, examples: Split, inputs: np.ndarray, outputs: np.ndarray) -> Figures:
        """Inputs, true masks, predicted masks and where they differ."""
        del inputs

        def draw() -> figures.Picture:
            return figures.segmentation(
                examples.images / np.float32(255),
                examples.targets,
                outputs.argmax(axis=-1),
                self.classes,
                self.colours,
                self.void,
            )

        return drawn("segmentation", draw)

    def draw_counts(self) -> Figures:
        """The confusion matrix of the pixels, and IoU class by class."""
        counts = np.asarray(self.confusion.counts)
        iou = metrics.class_iou(counts)
        return drawn(
            "confusion_matrix", lambda: figures.confusion_matrix(counts, self.classes, shares=True)
        ) | drawn("class_iou", lambda: figures.class_bars(iou, self.classes, "IoU"))

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """IoU of each class."""
        iou = metrics.class_iou(np.asarray(self.confusion.counts)).tolist()
        named = zip(self.classes, iou, strict=True)
        return {"class_iou": {name: None if math.isnan(v) else v for name, v in named}}


def drawn(name: str, draw: Callable[[], figures.Picture]) -> Figures:
    """A figure by its name, or none and a line in the log: no figure is worth a run."""
    try:
        return {name: draw()}
    except Exception as error:
        log.warning("%s cannot be drawn: %s: %s", name, type(error).__name__, clipped(error))
        return {}


def for_task(
    name: config.TaskName,
    data: DataSet,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> Task:
    """The task of this name.

    Args:
        name: `classification`, `reconstruction` or `segmentation`.
        data: the data set.
        class_weights: of each class in the loss; None for 1.
        label_smoothing: part of a label's weight in the loss of a classification that is spread
            over all classes.
    """
    match name:
        case "classification":
            return Classify(data, label_smoothing, class_weights)
        case "reconstruction":
            return Reconstruct(data)
        case "segmentation":
            return Segment(data, class_weights)
