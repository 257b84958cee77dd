"""Calls from TensorFlow's threads into Python, all of which end before Python does."""

import threading

import numpy as np
import pytest

from src.config import MaskFolder
from src.data import sources
from src.data.pipeline import evaluation_batches
from src.data.python_calls import Calls, calls
from tests.mask_folders import write
from tests.test_streamed import pair, sample  # noqa: F401


def test_the_end_waits_for_a_call_that_has_begun():
    own = Calls()
    begun, free, ended = (threading.Event() for _ in range(3))

    def call():
        with own:
            begun.set()
            free.wait(30)

    def settle():
        own.settle(quiet=0.0)
        ended.set()

    threads = [threading.Thread(target=call), threading.Thread(target=settle)]
    threads[0].start()
    begun.wait(30)
    threads[1].start()
    assert not ended.wait(0.2)
    free.set()
    assert ended.wait(30)


def test_the_end_does_not_wait_for_ever():
    own = Calls()
    with own:
        own.settle(most=0.0)


@pytest.fixture
def streamed(pair):  # noqa: F811
    return pair[1]


@pytest.fixture
def masks(tmp_path):
    section = MaskFolder(name="mask_folder", dir=str(write(tmp_path)), classes=3)
    return sources.load(section).splits["val"]


@pytest.mark.parametrize("examples", ["streamed", "masks"])
def test_every_reader_of_files_is_waited_for(request, monkeypatch, examples):
    split = request.getfixturevalue(examples)
    entered = []
    monkeypatch.setattr(Calls, "__enter__", lambda own: entered.append(own))
    monkeypatch.setattr(Calls, "__exit__", lambda own, *error: None)
    images, _ = next(iter(evaluation_batches(split, lambda *both: both)))
    assert np.asarray(images).ndim == 4
    assert set(entered) == {calls}
