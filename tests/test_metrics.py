"""Scores against NumPy, at any batch size."""

import keras
import numpy as np
import pytest

from src.training.metrics import ConfusionMatrix, accuracy, segmentation_scores


def logits_of(prediction, classes):
    return np.eye(classes, dtype=np.float32)[prediction]


def test_a_confusion_matrix_by_hand():
    metric = ConfusionMatrix(3, accuracy)
    metric.update_state([0, 0, 1, 2], logits_of([0, 1, 1, 1], 3))
    expected = [
        [1, 1, 0],  # truth 0: once right, once taken for 1
        [0, 1, 0],
        [0, 1, 0],
    ]
    np.testing.assert_array_equal(metric.counts, expected)
    assert float(metric.result()["accuracy"]) == 0.5


def test_mean_iou_by_hand():
    metric = ConfusionMatrix(4, segmentation_scores)
    truth = np.array([[[0, 0], [1, 1]]])
    prediction = np.array([[[0, 1], [1, 1]]])
    metric.update_state(truth, logits_of(prediction, 4))
    scores = metric.result()
    # IoU 1/2 and 2/3; classes 2 and 3 are absent from both and count for nothing.
    assert float(scores["mean_iou"]) == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-7)
    assert float(scores["global_accuracy"]) == 0.75


def test_a_class_that_is_only_predicted_counts_with_zero():
    metric = ConfusionMatrix(3, segmentation_scores)
    metric.update_state(np.array([0, 0]), logits_of(np.array([0, 2]), 3))
    assert float(metric.result()["mean_iou"]) == pytest.approx(0.25)


@pytest.mark.parametrize("batch", [1, 3, 8, 50])
def test_scores_are_those_of_the_whole_set_at_any_batch_size(batch):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 5, (50, 4, 6))
    logits = generator.normal(size=(50, 4, 6, 5)).astype(np.float32)
    metric = ConfusionMatrix(5, segmentation_scores)
    for begin in range(0, 50, batch):
        metric.update_state(truth[begin : begin + batch], logits[begin : begin + batch])
    prediction = logits.argmax(-1)
    ious = [
        np.sum((truth == c) & (prediction == c)) / np.sum((truth == c) | (prediction == c))
        for c in range(5)
    ]
    scores = metric.result()
    assert float(scores["mean_iou"]) == pytest.approx(np.mean(ious), abs=1e-6)
    assert float(scores["global_accuracy"]) == pytest.approx(np.mean(truth == prediction))


def test_counts_stay_exact_where_float32_stops_counting():
    metric = ConfusionMatrix(2, accuracy)
    metric.counts.assign([[2**24, 0], [0, 0]])
    metric.update_state([0], logits_of([0], 2))
    assert int(metric.counts[0, 0]) == 2**24 + 1


def test_keras_reports_each_score_by_its_name():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[ConfusionMatrix(3, segmentation_scores)],
    )
    logs = model.evaluate(np.ones((4, 2)), np.zeros(4), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "mean_iou", "global_accuracy"}
