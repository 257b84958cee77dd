"""Losses of the tasks, worked by hand; figures that cannot be drawn; which score is better."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from src.data.examples import Split
from src.training.saver import Progress
from src.training.tasks import Classify, Reconstruct
from tests.commands import MODELS, ROOT, read

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


def test_a_figure_that_cannot_be_drawn_is_a_line_in_the_log(caplog):
    task = Reconstruct(SimpleNamespace(classes=("a",)))
    examples = Split(np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int32))
    clean = np.zeros((1, 2, 2, 1), "float32")
    assert set(task.draw_examples(examples, clean, np.zeros((1, 2, 2, 1)))) == {"reconstructions"}
    assert task.draw_examples(examples, clean, np.zeros((1, 3, 2, 1))) == {}
    (line,) = caplog.messages
    assert line.startswith("reconstructions cannot be drawn: ValueError: expected outputs shaped")


def test_a_score_of_nothing_is_better_than_none_and_worse_than_any():
    progress = Progress(Classify(SimpleNamespace(classes=("a", "b"))), patience=2)
    steps = []
    for step, score in enumerate((np.nan, np.nan, 0.5, np.nan, 0.4, 0.6)):
        progress.note(score, step, None)
        steps.append(progress.best_step)
    assert steps == [0, 1, 2, 2, 2, 5]
    assert progress.best == 0.6
    progress = Progress(Classify(SimpleNamespace(classes=("a", "b"))), patience=2)
    progress.note(np.nan, 5, None)
    # What a checkpoint remembers can be written as JSON.
    assert (progress.state(5).best, progress.state(5).best_step) == (None, 5)


FIFTH = """
import runpy, sys
import keras
from src.training.tasks import Classify

begin = Classify.__init__
def with_another_metric(self, *arguments):
    begin(self, *arguments)
    self.metrics.append(keras.metrics.SparseTopKCategoricalAccuracy(5, name="top_5"))
Classify.__init__ = with_another_metric
sys.argv = ["src.train", *sys.argv[1:]]
runpy.run_module("src.train", run_name="__main__")
"""


def test_a_further_metric_is_one_more_entry(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}

    def train(*words):
        command = [sys.executable, "-c", FIFTH, *words]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=300)

    words = [*MODELS["lenet5"].split(), "trainer.steps=7", "trainer.checkpoint_every=4"]
    train(*words, "run_dir=run")
    alone = read(tmp_path / "run" / "results.json")["metrics"]
    assert alone["test"]["top_5"] > alone["test"]["accuracy"]
    # It goes on from inside an epoch, whose running mean is then the metric's, too.
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-000000007")
    (tmp_path / "run" / "results.json").unlink()
    train("resume=run")
    assert read(tmp_path / "run" / "results.json")["metrics"] == alone
