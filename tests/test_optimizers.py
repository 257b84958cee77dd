"""Learning rates, worked by hand."""

import keras
import numpy as np
import pytest

from src import config
from src.training.optimizers import Schedule, build


def rates(steps, **settings):
    schedule = Schedule(**{"peak": 1.0, "total_steps": 100, "steps_per_epoch": 10} | settings)
    return [float(schedule(step)) for step in steps]


def test_constant():
    assert rates([0, 7, 99], shape="constant") == [1, 1, 1]


def test_cosine_falls_from_the_peak_to_zero():
    expected = [1, 0.5, 0, 0]
    np.testing.assert_allclose(rates([0, 50, 100, 101], shape="cosine"), expected, atol=1e-7)


def test_a_staircase_has_one_stair_an_epoch():
    expected = [1, 1, 0.99, 0.99**9]
    np.testing.assert_allclose(rates([0, 9, 10, 99], shape="staircase"), expected, rtol=1e-6)


def test_the_warm_up_is_linear_and_ends_at_the_peak():
    expected = [0.25, 0.5, 0.75, 1, 1]
    assert rates([0, 1, 2, 3, 4], shape="constant", warmup_steps=4) == expected


def test_a_schedule_is_rebuilt_from_its_config():
    schedule = Schedule(0.1, "cosine", 100, 10, warmup_steps=3)
    again = Schedule.from_config(schedule.get_config())
    assert [float(again(s)) for s in range(5)] == [float(schedule(s)) for s in range(5)]


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("sgd", "SGD")])
def test_the_registered_name_chooses_the_optimizer(name, kind):
    optimizer = build(config.Optimizer(name=name, learning_rate=0.25), 10, 5)
    assert isinstance(optimizer, getattr(keras.optimizers, kind))
    assert float(optimizer.learning_rate) == 0.25


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_weight_decay_takes_a_share_of_the_weight_and_no_part_in_the_gradient(name):
    optimizer = build(config.Optimizer(name=name, learning_rate=0.1, weight_decay=0.5), 10, 5)
    weight = keras.Variable([2.0])
    optimizer.apply([np.zeros(1, np.float32)], [weight])
    np.testing.assert_allclose(weight, [2.0 * (1 - 0.1 * 0.5)], rtol=1e-6)
