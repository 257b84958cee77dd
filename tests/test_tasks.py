"""Losses of the tasks, worked by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from src.training.tasks import Classify

# Softmax makes 3/4 and 1/4 of them.
LOGITS = np.array([[np.log(3), 0]], np.float32)


@pytest.mark.parametrize(
    ("label", "smoothing", "expected"),
    [
        (0, 0.0, -np.log(0.75)),
        (1, 0.0, -np.log(0.25)),
        # A fifth is spread over two classes: the label keeps 0.9.
        (0, 0.2, -0.9 * np.log(0.75) - 0.1 * np.log(0.25)),
        (1, 0.2, -0.1 * np.log(0.75) - 0.9 * np.log(0.25)),
    ],
    ids=["right", "wrong", "right-smoothed", "wrong-smoothed"],
)
def test_label_smoothing_spreads_a_part_of_the_label_evenly(label, smoothing, expected):
    loss = Classify(SimpleNamespace(classes=("a", "b")), smoothing).loss
    assert float(loss(np.array([label], np.int32), LOGITS)) == pytest.approx(expected, rel=1e-6)
