"""Evaluates a run: scores first, then what is written of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np

from src import results
from src.data import pipeline
from src.experiment import Experiment, check_own_data
from src.training import code_space, summaries
from src.training.evaluation import evaluate as pass_over
from src.training.features import Features, before_last, features_of
from src.training.tasks import Figures


@dataclass(frozen=True)
class Evaluation:
    """What one checkpoint reaches on one split.

    Attributes:
        checkpoint: `best` or `last`.
        split: `train`, `val` or `test`.
        own_data: whether the data set is the one that the run was trained on.
        step: steps that the weights were trained.
        metrics: by name.
        baselines: what simple methods reach, by name.
        by_class: scores class by class.
        pictures: by name.
        features: examples as points; None where the model has no such layer.
        predictions: targets and outputs of a classifier for the whole split; None of others.
    """

    checkpoint: str
    split: str
    own_data: bool
    step: int
    metrics: results.Scores
    baselines: results.Scores
    by_class: dict[str, dict[str, float | None]]
    pictures: Figures
    features: Features | None
    predictions: tuple[np.ndarray, np.ndarray] | None

    @property
    def scores(self) -> results.Scores:
        """Metrics and baselines."""
        return self.metrics | self.baselines


def evaluate(
    run: Experiment, checkpoint: str, split: str, own_data: bool = True, tsne: bool = False
) -> Evaluation:
    """Evaluates a checkpoint on a split; writes nothing.

    Args:
        run: what is evaluated.
        checkpoint: `best` or `last`.
        split: `train`, `val` or `test`.
        own_data: whether the data set is the one that the run was trained on.
        tsne: whether a picture lays the codes out by t-SNE.

    Raises:
        UserError: the checkpoint is missing, damaged, or of another model, or the data is not
            the run's own although it should be.
    """
    if own_data:
        check_own_data(run.folder, run.data, split)
    saved = run.checkpoints.named(checkpoint)
    saved.restore(run.model)
    model = run.evaluated
    if not model.compiled:
        run.compile(model)
    part = run.part(split)
    batches = pipeline.evaluation_batches(part, run.task.preprocess, run.noise)
    with run.model.averaged(), pipeline.graph_errors():
        metrics, targets, outputs = pass_over(model, batches, run.task.draws_split)
        pictures, by_class = run.task.draw_counts(), run.task.by_class()
        if run.task.draws_examples:
            examples, inputs = run.examples(split)
            shown = model.predict_on_batch(inputs)
            pictures |= run.task.draw_examples(examples, np.asarray(inputs), shown)
        features = features_of(run.model, _layer(run), part, run.task.preprocess)
        if features and run.settings.model.code:
            pictures |= code_space.draw(
                run.model, run.settings.model.code, features, run.data.classes, tsne
            )
    predictions = None
    if targets is not None and outputs is not None:
        pictures |= run.task.draw_split(part, targets, outputs)
        if run.settings.model.task == "classification":
            predictions = targets, outputs
    baselines = _baselines(run, split, own_data)
    # NaN, the score of a split that is all void, becomes null.
    scores = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return Evaluation(
        *(checkpoint, split, own_data, saved.step, scores, baselines, by_class, pictures),
        features=features,
        predictions=predictions,
    )


def record(run: Experiment, evaluation: Evaluation) -> None:
    """Adds an evaluation to the run's results and pictures, in the place of an earlier one.

    Raises:
        OSError: they cannot be written.
    """
    label = f"{evaluation.checkpoint}-{evaluation.split}"
    if not evaluation.own_data:
        label = f"{label}-{run.data.name}"
    scores = {**evaluation.scores, **evaluation.by_class}
    curves = []
    if evaluation.predictions:
        curves = summaries.pr_curves(label, *evaluation.predictions, run.data.classes)
    run.events.write_evaluation(
        label, evaluation.pictures, evaluation.metrics, curves, evaluation.step
    )
    if evaluation.features:
        summaries.write_projector(run.events.folder, label, evaluation.features, run.data.classes)
    # Last: a run that has its scores is done, and whoever goes on with it leaves it as it is.
    entry = results.Evaluation(step=evaluation.step, data=run.data.source, **scores)
    with results.changing(run.folder) as current:
        current.evaluations[label] = entry
        if evaluation.own_data and evaluation.checkpoint == "best":
            current.metrics[evaluation.split] = evaluation.metrics
        if evaluation.own_data and evaluation.baselines:
            current.baselines[evaluation.split] = evaluation.baselines


def _layer(run: Experiment) -> keras.KerasTensor | None:
    """What says most about an example in a few numbers: the code, or a classifier's features."""
    if run.settings.model.code:
        return run.model.get_layer(run.settings.model.code).output
    return before_last(run.model) if run.settings.model.task == "classification" else None


def _baselines(run: Experiment, split: str, own_data: bool) -> results.Scores:
    """What simple methods reach; on the run's own data, which never change, worked out once."""
    known = results.read(run.folder).baselines.get(split) if own_data else None
    if known:
        return known
    latent = getattr(run.settings.model, "latent", None)
    found = run.task.baselines(run.data.splits, split, latent)
    if found and own_data:
        check_own_data(run.folder, run.data, "train")
    return dict(found)
