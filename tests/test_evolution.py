"""What excites the maps while a network is trained: drawn again and again, whatever happens."""

import numpy as np
import pytest
from PIL import Image

from src import evolution, runs
from src.figures.evolution import strip
from src.training.plan import Plan
from tests.commands import MODELS, run

WORDS = (
    f"{MODELS['lenet_mnist']} model.filters=4 trainer.pictures=1 trainer.explain_every=2 "
    "trainer.checkpoint_every=1 optimizer.schedule=constant"
)


def pictures(folder):
    found = sorted((folder / "figures").rglob("evolution*/*.png"))
    found += sorted((folder / "figures").glob("evolution-*.png"))
    return {path.name: np.asarray(Image.open(path)) for path in found}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evolution")
    run("src.train", f"{WORDS} trainer.steps=6 run_dir=whole", folder)
    return folder


def test_a_column_a_time_and_a_sheet_a_layer(trained):
    names = pictures(trained / "whole")
    columns = [f"{layer}-{step:09d}.png" for layer in ("conv1", "conv2") for step in (0, 2, 4, 6)]
    assert set(names) == {*columns, "evolution-conv1.png", "evolution-conv2.png"}
    assert not np.array_equal(names["conv2-000000000.png"], names["conv2-000000006.png"])


def test_a_run_that_goes_on_has_the_columns_of_one_that_was_left_alone(trained):
    run("src.train", f"{WORDS} trainer.steps=3 run_dir=parts", trained)
    # What was drawn after the checkpoint it goes on from is of no step of this run.
    late = trained / "parts" / "figures" / "evolution" / "conv1-000000005.png"
    Image.new("RGB", (64, 64)).save(late)
    run("src.train", "resume=parts trainer.steps=6", trained)
    whole, parts = pictures(trained / "whole"), pictures(trained / "parts")
    assert whole.keys() == parts.keys()
    for name, picture in whole.items():
        np.testing.assert_array_equal(picture, parts[name], err_msg=name)


def test_what_is_drawn_changes_nothing_of_the_training(trained):
    run("src.train", f"{WORDS} trainer.explain_every=null trainer.steps=6 run_dir=not", trained)
    own, other = ((trained / name / runs.METRICS).read_text() for name in ("whole", "not"))
    assert own.partition('"learning_rate"')[0] == other.partition('"learning_rate"')[0]


def test_a_time_ends_a_call():
    plan = Plan(batch_size=1, steps_per_epoch=60, steps=120, checkpoint_every=None)
    assert plan.steps_per_call(60) == 60
    every = Plan(1, 60, 120, checkpoint_every=None, explain_every=20)
    assert every.steps_per_call(60) == 20


def test_a_failure_is_said_once_and_ends_no_run(monkeypatch, tmp_path, caplog):
    def fail(*_):
        raise MemoryError("no room")

    class Run:
        folder = tmp_path

    drawing = evolution.Evolution(Run(), 1, 0)
    monkeypatch.setattr(drawing, "_draw", fail)
    drawing._try(1)
    drawing._try(2)
    assert caplog.messages == ["evolution: MemoryError: no room"]


def test_projections_lie_below_each_other_in_equal_cells():
    made = strip([np.ones((5, 5, 1)), np.zeros((100, 20, 3))])
    assert made.shape == (128, 64, 3)
    assert made[0, 0].tolist() == [255] * 3
    assert made[64, 0].tolist() == [128] * 3
