"""The curves of a run: what is drawn where, what is marked, what a resumed run draws."""

import json

import numpy as np
import pytest

from src import epochs
from src.figures import colours, curves
from src.figures.curves import Line, Panel
from src.training.curves import CurvesLogger, drawn

RED = (200, 0, 0)


def line(y, x=None, **more):
    y = np.asarray(y, float)
    return Line("a", np.arange(1.0, len(y) + 1) if x is None else np.asarray(x, float), y, **more)


def where(picture, colour):
    """Rows and columns of the pixels of a colour."""
    return np.argwhere((picture == colour).all(-1))


def rows(*scores):
    return [
        {"epoch": i, "step": 10 * i, "loss": 1.0, "accuracy": 0.5}
        | {"val_loss": 2.0, "val_accuracy": score}
        for i, score in enumerate(scores, start=1)
    ]


def test_a_larger_value_lies_higher_and_a_later_one_further_right():
    rising = where(curves([Panel("p", [line([1, 2, 3], colour=RED)])])[:270], RED)
    first, last = rising[rising[:, 1].argmin()], rising[rising[:, 1].argmax()]
    assert first[0] - last[0] > 150
    assert last[1] - first[1] > 200


def test_values_over_decades_are_drawn_by_their_logarithms():
    straight = where(curves([Panel("p", [line([100, 10, 1], colour=RED)])])[:270], RED)
    middle = straight[abs(straight[:, 1] - straight[:, 1].mean()) < 2][:, 0].mean()
    assert abs(middle - (straight[:, 0].min() + straight[:, 0].max()) / 2) < 3


@pytest.mark.parametrize("gap", [np.nan, np.inf, 1e300], ids=["nan", "inf", "huge"])
def test_what_is_no_number_leaves_a_gap(gap):
    whole = where(curves([Panel("p", [line([1, 1, 1, 1], colour=RED)])])[:270], RED)
    broken = where(curves([Panel("p", [line([1, 1, gap, 1], colour=RED)])])[:270], RED)
    assert 0 < len(set(broken[:, 1])) < 0.6 * len(set(whole[:, 1]))


def test_a_deviation_that_reaches_zero_does_not_flatten_the_curves():
    y = np.array([1, 0.1, 0.02])
    alone = where(curves([Panel("p", [line(y, colour=RED)])])[:270], RED)
    banded = where(curves([Panel("p", [line(y, colour=RED, spread=0.99 * y)])])[:270], RED)
    assert np.ptp(banded[:, 0]) > 0.8 * np.ptp(alone[:, 0])


def test_a_deviation_ends_at_the_largest_value_that_there_can_be():
    shares = line([0.9, 1.0], colour=RED, spread=np.array([0.4, 0.4]))
    bounded = where(curves([Panel("p", [shares], most=1)])[:270], RED)
    beyond = where(curves([Panel("p", [shares])])[:270], RED)
    # The plot's 208 rows begin at row 48; less than a tenth of them lies above the curve's end.
    assert bounded[:, 0].min() < 48 + 20
    assert beyond[:, 0].min() > 48 + 70


@pytest.mark.parametrize("points", [0, 1, 2, 31, 100_000])
def test_any_number_of_points_makes_a_picture_of_one_size(points):
    y = np.random.default_rng(0).random(points)
    dashed = line(y, colour=RED, dashed=True, spread=y / 2)
    picture = curves([Panel("p", [dashed]), Panel("q", [line(y, colour=RED)])])
    assert picture.shape == curves([Panel("p", [line([1], colour=RED)])] * 2).shape


def test_the_best_epoch_is_marked_by_the_metric_that_chooses_the_checkpoint():
    def ring(mode):
        panels = drawn(rows(0.5, 0.9, 0.3), "accuracy", mode)
        return where(panels[:270], colours.CONFUSED)[:, 1].mean()

    assert ring("min") - ring("max") > 90
    assert epochs.best(rows(0.5, 0.9, 0.3, 0.9), "accuracy", "max")["epoch"] == 2
    assert epochs.best(rows(None, None), "accuracy", "max") is None


def test_a_loss_that_is_the_metric_by_another_name_is_drawn_once():
    same = [row | {"accuracy": 1.0, "val_accuracy": 2.0} for row in rows(0, 0)]
    assert drawn(same, "accuracy", "min").shape[1] < drawn(rows(1, 2), "accuracy", "max").shape[1]


def test_a_run_that_goes_on_draws_what_a_run_left_alone_draws(tmp_path):
    def draw(folder, known):
        (tmp_path / folder).mkdir(exist_ok=True)
        logger = CurvesLogger(tmp_path / folder, known, "accuracy", "max")
        logger.on_epoch_end(0)
        return (tmp_path / folder / "figures" / "curves.png").read_bytes()

    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(0.1, 0.4)))
    found, damaged = epochs.read(file)
    assert not damaged
    assert draw("whole", rows(0.1, 0.4, 0.3)) == draw("resumed", [*found, *rows(0, 0, 0.3)[2:]])
    assert draw("whole", rows(0.1, 0.4, 0.3)) != draw("resumed", found)


@pytest.mark.parametrize(
    "text",
    [
        *("[]", '{"epoch": 1, "step": 1.5}', '{"epoch": 1, "step": 1, "loss": "a"}', "\xff"),
        *('{"epoch": 1, "step": 1, "loss": 1e999}', '{"epoch": 1, "step": 1' + "0" * 400 + "}"),
        *("[" * 100_000, '{"epoch": 1, "loss": 1}', '{"step": 1, "loss": 1}'),
    ],
    ids=["list", "half", "text", "binary", "infinite", "long", "deep", "stepless", "epochless"],
)
def test_a_line_that_is_no_row_is_left_out_and_said(tmp_path, text):
    good = json.dumps({"epoch": 1, "step": 2})
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(f"{good}\n{text}\n{good}\n".encode("latin-1"))
    assert epochs.read(file) == ([{"epoch": 1, "step": 2}] * 2, [2])
