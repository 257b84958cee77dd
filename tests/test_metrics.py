"""Scores against NumPy, at any batch size."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.training.metrics import ConfusionMatrix, accuracy, class_iou, segmentation_scores


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


def test_of_equal_logits_the_first_is_the_prediction():
    metric = ConfusionMatrix(3, accuracy)
    metric.update_state([0, 0], np.array([[0, 0, 0], [-1, 5, 5]], np.float32))
    np.testing.assert_array_equal(metric.counts, [[1, 1, 0], [0, 0, 0], [0, 0, 0]])


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


def oracle(truth, prediction, classes):
    """The scores by loops over the classes, on sets of pixels; void is in no set."""
    iou, right = [], []
    counted = truth < classes
    for c in range(classes):
        is_, taken = truth == c, (prediction == c) & counted
        union = np.sum(is_ | taken)
        iou.append(np.sum(is_ & taken) / union if union else np.nan)
        right.append(np.sum(is_ & taken) / np.sum(is_) if is_.any() else np.nan)
    return iou, {
        "mean_iou": np.nanmean(iou) if counted.any() else np.nan,
        "class_accuracy": np.nanmean(right) if counted.any() else np.nan,
        "global_accuracy": np.mean((truth == prediction)[counted]) if counted.any() else np.nan,
    }


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(2, 12),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5)),
    batch=st.integers(1, 9),
    void=st.sampled_from([None, "next", 255]),
)
def test_scores_are_those_of_the_whole_set_at_any_batch_size(seed, classes, shape, batch, void):
    generator = np.random.default_rng(seed)
    # Some classes are in no truth, some in no prediction, some in neither.
    held = generator.permutation(classes)[: generator.integers(1, classes + 1)]
    guessed = generator.permutation(classes)[: generator.integers(1, classes + 1)]
    truth = generator.choice(held, shape).astype(np.uint8)
    prediction = generator.choice(guessed, shape)
    if void:
        truth[generator.random(shape) < generator.random()] = classes if void == "next" else 255
    metric = ConfusionMatrix(classes, segmentation_scores)
    for begin in range(0, shape[0], batch):
        part = slice(begin, begin + batch)
        metric.update_state(truth[part], logits_of(prediction[part], classes))
    iou, expected = oracle(truth, prediction, classes)
    found = metric.result()
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-6, nan_ok=True), name
    np.testing.assert_allclose(class_iou(np.asarray(metric.counts)), iou, atol=1e-12)
    assert int(np.sum(metric.counts)) == np.sum(truth < classes)


def test_void_by_hand():
    metric = ConfusionMatrix(2, segmentation_scores)
    truth = np.array([[[0, 0, 1, 11], [1, 1, 255, 11]]], np.uint8)
    prediction = np.array([[[0, 1, 1, 1], [1, 0, 0, 0]]])
    metric.update_state(truth, logits_of(prediction, 2))
    np.testing.assert_array_equal(metric.counts, [[1, 1], [1, 2]])
    assert float(metric.result()["mean_iou"]) == pytest.approx((1 / 3 + 2 / 4) / 2, abs=1e-7)


def test_counts_stay_exact_where_float32_stops_counting():
    metric = ConfusionMatrix(2, accuracy)
    metric.counts.assign([[2**24, 0], [0, 0]])
    metric.update_state([0], logits_of([0], 2))
    assert int(metric.counts[0, 0]) == 2**24 + 1


def test_scores_of_more_pixels_than_an_int32_counts():
    metric = ConfusionMatrix(2, segmentation_scores)
    many = 2**40
    metric.counts.assign([[many, many], [0, 2 * many]])
    scores = metric.result()
    assert float(scores["global_accuracy"]) == pytest.approx(3 / 4, abs=1e-7)
    assert float(scores["mean_iou"]) == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-7)
    assert float(scores["class_accuracy"]) == pytest.approx(3 / 4, abs=1e-7)


def test_keras_reports_each_score_by_its_name():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[ConfusionMatrix(3, segmentation_scores)],
    )
    logs = model.evaluate(np.ones((4, 2)), np.zeros(4), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "mean_iou", "global_accuracy", "class_accuracy"}


@pytest.mark.parametrize("scores", [accuracy, segmentation_scores])
def test_of_nothing_no_score_is_made_up(scores):
    metric = ConfusionMatrix(2, scores)
    metric.update_state(np.full((1, 2, 2), 7), np.zeros((1, 2, 2, 2), np.float32))
    assert all(np.isnan(float(value)) for value in metric.result().values())
