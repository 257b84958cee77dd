"""What a model is asked to do: targets, loss, metrics, the metric to watch, and the pictures.

The only place that tells classification, reconstruction and segmentation apart.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from src import figures
from src.data.dataset import DataSet, Split
from src.training import losses, metrics

Pictures = dict[str, np.ndarray]


class Task(ABC):
    """One of the three tasks.

    Attributes:
        watched: the metric on the validation set that decides which checkpoint is the best.
        mode: whether more or less of it is better.
        scores: the metric that Keras updates beside the loss.
        reviews: whether `review` has pictures.
    """

    watched: str
    mode: Literal["max", "min"]
    scores: keras.metrics.Metric
    reviews = False

    def __init__(self, data: DataSet) -> None:
        self.classes = data.classes

    @property
    def loss(self) -> keras.losses.Loss:
        """What is minimised: softmax cross entropy in nats, the mean over the examples."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def pair(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The model's input and what its output is compared with: images and their targets."""
        return images, targets

    @abstractmethod
    def sketch(self, examples: Split, outputs: np.ndarray) -> Pictures:
        """Pictures of the outputs for the run's fixed examples."""

    def review(self, split: Split, outputs: np.ndarray) -> Pictures:
        """Pictures that take the outputs for a whole split."""
        del split, outputs
        return {}

    def tally(self) -> Pictures:
        """Pictures of what the metric has counted since its last reset."""
        return {}

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """Scores class by class of what the metric has counted; None for an absent class."""
        return {}

    def baselines(self, train: Split, split: Split, latent: int | None) -> Mapping[str, float]:
        """Scores on `split` of simple methods fitted to `train`, for comparison."""
        del train, split, latent
        return {}

    def better(self, score: float, best: float | None) -> bool:
        """Whether `score` of the watched metric is an improvement."""
        return best is None or (score > best if self.mode == "max" else score < best)


class Classify(Task):
    """One label an image; the model returns logits `[batch, classes]`."""

    watched = "accuracy"
    mode: Literal["max", "min"] = "max"
    reviews = True

    def __init__(self, data: DataSet) -> None:
        super().__init__(data)
        self.scores = metrics.ConfusionMatrix(len(data.classes), metrics.accuracy)

    def sketch(self, examples: Split, outputs: np.ndarray) -> Pictures:
        """Nothing: ten labels are no picture."""
        del examples, outputs
        return {}

    def tally(self) -> Pictures:
        """The confusion matrix."""
        counts = np.asarray(self.scores.counts)
        return {"confusion_matrix": figures.confusion_matrix(counts, self.classes)}

    def review(self, split: Split, outputs: np.ndarray) -> Pictures:
        """The mistakes that the model was surest of."""
        odds = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        picture = figures.worst_mistakes(
            split.images / np.float32(255),
            split.targets,
            outputs.argmax(axis=-1),
            odds.max(axis=-1) / odds.sum(axis=-1),
            self.classes,
        )
        return {"worst_mistakes": picture}


class Reconstruct(Task):
    """The image itself; the model returns images `[batch, height, width, channels]` in [0, 1]."""

    watched = "mse"
    mode: Literal["max", "min"] = "min"

    def __init__(self, data: DataSet) -> None:
        super().__init__(data)
        self.scores = keras.metrics.MeanSquaredError(name="mse")

    @property
    def loss(self) -> keras.losses.Loss:
        """Mean squared error a pixel."""
        return keras.losses.MeanSquaredError()

    def pair(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The images twice."""
        del targets
        return images, images

    def sketch(self, examples: Split, outputs: np.ndarray) -> Pictures:
        """Inputs, reconstructions and errors."""
        inputs = examples.images / np.float32(255)
        return {"reconstructions": figures.reconstructions(inputs, outputs)}

    def baselines(self, train: Split, split: Split, latent: int | None) -> Mapping[str, float]:
        """MSE a pixel of the mean image, and of PCA with as many components as the code."""
        from sklearn.decomposition import PCA

        def rows(part: Split) -> np.ndarray:
            return part.images.reshape(len(part), -1) / np.float32(255)

        seen, unseen = rows(train), rows(split)
        scores = {"mean_image_mse": float(np.mean((unseen - seen.mean(axis=0)) ** 2))}
        components = min(latent or 0, *seen.shape)
        if components:
            pca = PCA(components, random_state=0).fit(seen)
            drawn = pca.inverse_transform(pca.transform(unseen))
            scores[f"pca_{components}_mse"] = float(np.mean((unseen - drawn) ** 2))
        return scores


class Segment(Task):
    """One class a pixel; the model returns logits `[batch, height, width, classes]`."""

    watched = "mean_iou"
    mode: Literal["max", "min"] = "max"

    def __init__(self, data: DataSet, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(data)
        self.colours, self.void = data.colours, data.void
        self.class_weights = class_weights
        self.scores = metrics.ConfusionMatrix(len(data.classes), metrics.segmentation_scores)

    @property
    def loss(self) -> keras.losses.Loss:
        """Softmax cross entropy in nats, the mean over the pixels that are not void."""
        return losses.PixelCrossEntropy(len(self.classes), self.class_weights)

    def sketch(self, examples: Split, outputs: np.ndarray) -> Pictures:
        """Inputs, true masks, predicted masks and where they differ."""
        picture = figures.segmentation(
            examples.images / np.float32(255),
            examples.targets,
            outputs.argmax(axis=-1),
            self.classes,
            self.colours,
            self.void,
        )
        return {"segmentation": picture}

    def tally(self) -> Pictures:
        """The confusion matrix of the pixels, and IoU class by class."""
        counts = np.asarray(self.scores.counts)
        iou = metrics.class_iou(counts)
        return {
            "confusion_matrix": figures.confusion_matrix(counts, self.classes, shares=True),
            "class_iou": figures.class_bars(iou, self.classes, "IoU"),
        }

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """IoU of each class."""
        iou = metrics.class_iou(np.asarray(self.scores.counts)).tolist()
        named = zip(self.classes, iou, strict=True)
        return {"class_iou": {name: None if math.isnan(v) else v for name, v in named}}


def for_model(name: str, data: DataSet, class_weights: Sequence[float] | None = None) -> Task:
    """The task that a model of this name is built for.

    Args:
        name: the model's registered name.
        data: the data set.
        class_weights: of each class in the loss of a segmentation; None for 1.
    """
    if name == "fcn":
        return Segment(data, class_weights)
    return (Reconstruct if name == "autoencoder" else Classify)(data)
