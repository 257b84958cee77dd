"""Durations are steps or epochs; a run is trained in calls of fit that end with both."""

import pytest

from src.config import Trainer
from src.errors import UserError
from src.training.plan import Plan


def test_epochs_become_whole_batches():
    plan = Plan.of(Trainer(epochs=3, batch_size=100), examples=1099)
    assert (plan.steps_per_epoch, plan.steps, plan.epochs) == (10, 30, 3)


def test_steps_win_over_epochs_and_may_end_inside_one():
    plan = Plan.of(Trainer(epochs=3, steps=25, batch_size=100), examples=1000)
    assert (plan.steps, plan.epochs) == (25, 3)
    assert list(plan.fits()) == [(0, 20), (20, 25)]


@pytest.mark.parametrize(
    ("start", "fits"),
    [
        (0, [(0, 30)]),
        (10, [(10, 30)]),
        (7, [(7, 10), (10, 30)]),
        (29, [(29, 30)]),
        (30, []),
    ],
)
def test_a_run_may_go_on_from_any_step(start, fits):
    plan = Plan(batch_size=1, steps_per_epoch=10, steps=30, checkpoint_every=None)
    assert list(plan.fits(start)) == fits


@pytest.mark.parametrize("start", range(25))
def test_the_calls_of_fit_cover_every_step_once_and_cross_no_epoch_in_part(start):
    plan = Plan(batch_size=1, steps_per_epoch=7, steps=25, checkpoint_every=None)
    steps = [step for first, last in plan.fits(start) for step in range(first, last)]
    assert steps == list(range(start, 25))
    for first, last in plan.fits(start):
        assert last - first < 7 or (first % 7 == 0 and last % 7 == 0)


@pytest.mark.parametrize(
    ("steps", "every", "most", "expected"),
    [
        (1100, None, 25, 25),  # 550 = 22 * 25
        (1100, None, 24, 22),
        (1100, 100, 25, 25),  # gcd(550, 100) = 50
        (1100, 7, 25, 1),
        (560, None, 25, 10),  # a last epoch of 10 steps
        (7, None, 25, 7),
    ],
)
def test_a_call_ends_with_the_epoch_and_at_every_checkpoint(steps, every, most, expected):
    plan = Plan(batch_size=100, steps_per_epoch=550, steps=steps, checkpoint_every=every)
    assert plan.steps_per_call(most) == expected


def test_a_batch_larger_than_the_training_set_is_refused():
    with pytest.raises(UserError, match=r"at most the 99 .*; received trainer.batch_size=100"):
        Plan.of(Trainer(batch_size=100), examples=99)


def test_a_run_at_its_end_still_has_a_length_of_call():
    plan = Plan(batch_size=100, steps_per_epoch=550, steps=1100, checkpoint_every=None)
    assert plan.steps_per_call(25, step=1100) == 1
