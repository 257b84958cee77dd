"""A checkpoint is whole or it is not used; what is damaged is said, never silently loaded."""

import json
import random
import shutil

import keras
import numpy as np
import pytest

from src.errors import UserError
from src.training.averages import AveragedModel
from src.training.checkpoints import Checkpoints

STEPS = (10, 20, 30)
BEST = 20


def model_at(step):
    """A small model all of whose weights are the step, with an average of half of it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = AveragedModel(keras.Model(inputs, keras.layers.Dense(2)(inputs), name="small"), 0.9)
    model.compile(keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    for weight in model.weights:
        weight.assign(np.full(weight.shape, step))
    for average in model.averages.variables:
        average.assign(np.full(average.shape, step / 2))
    return model


def save(checkpoints, step, best_step):
    model = model_at(step)
    groups = {"averages": model.averages.variables}
    checkpoints.save(model, groups, {"step": step, "best_step": best_step})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    for step in STEPS:
        save(Checkpoints(folder, keep=3), step, min(step, BEST))
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoints")


def loaded(checkpoint):
    model = model_at(0)
    checkpoint.restore(model)
    return model


def test_the_last_and_the_best_come_back(copied):
    last, damages = Checkpoints(copied).last()
    assert (last.step, damages) == (30, [])
    assert np.all(np.asarray(loaded(last).weights[0]) == 30)
    assert np.all(np.asarray(loaded(last).averages.variables[0]) == 15)
    assert np.all(np.asarray(loaded(Checkpoints(copied).named("best")).weights[0]) == 20)
    assert (copied / "last").read_text() == "step-000000030\n"
    assert (copied / "best").read_text() == "step-000000020\n"


@pytest.mark.parametrize(
    ("keep", "best", "kept"),
    [
        (1, [10, 10, 10, 10], [10, 40]),
        (1, [10, 20, 30, 40], [40]),
        (2, [10, 20, 20, 20], [20, 30, 40]),
        # A fall back from 40 to 30 falls back on 20 as the best, too.
        (2, [10, 20, 20, 40], [20, 30, 40]),
        (9, [10, 10, 10, 10], [10, 20, 30, 40]),
    ],
)
def test_the_newest_are_kept_beside_the_best(tmp_path, keep, best, kept):
    checkpoints = Checkpoints(tmp_path, keep)
    for step, best_step in zip((10, 20, 30, 40), best, strict=True):
        save(checkpoints, step, best_step)
    assert sorted(path.name for path in tmp_path.glob("*step*")) == [f"step-{s:09d}" for s in kept]


def test_a_save_that_was_cut_short_is_not_there(copied):
    shutil.copytree(copied / "step-000000030", copied / ".step-000000040.writing")
    assert Checkpoints(copied).last()[0].step == 30
    save(Checkpoints(copied, keep=3), 40, 20)
    assert Checkpoints(copied).last()[0].step == 40


def test_a_damaged_newest_is_reported_and_the_one_before_it_used(copied):
    (copied / "step-000000030" / "training.npz").write_bytes(b"")
    last, damages = Checkpoints(copied).last()
    assert last.step == 20
    assert len(damages) == 1
    assert "step-000000030 with a damaged training.npz" in damages[0]
    for which in ("best", "last"):
        with pytest.raises(UserError, match=r"step-000000030 with a damaged training\.npz"):
            Checkpoints(copied).named(which)


def test_with_none_left_the_error_names_every_damage(copied):
    for step in STEPS:
        (copied / f"step-{step:09d}" / "digests.json").unlink()
    with pytest.raises(UserError, match=r"step-000000030 with .* step-000000010 with"):
        Checkpoints(copied).last()


def test_the_weights_of_another_model_are_refused_in_one_line(copied):
    inputs = keras.Input((5,))
    other = AveragedModel(keras.Model(inputs, keras.layers.Dense(7)(inputs)), None)
    with pytest.raises(UserError, match="expected the weights of") as caught:
        Checkpoints(copied).last()[0].restore(other)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_arrays_and_json_and_runs_no_code(copied):
    folder = copied / "step-000000030"
    names = {"model.weights.h5", "training.npz", "state.json", "digests.json"}
    assert {path.name for path in folder.iterdir()} == names
    arrays = np.load(folder / "training.npz", allow_pickle=False)
    assert all(arrays[name].dtype != object for name in arrays.files)
    json.loads((folder / "state.json").read_text())


def truncate(path, other, generator):
    path.write_bytes(path.read_bytes()[: generator.randrange(max(1, path.stat().st_size))])


def flip(path, other, generator):
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def empty(path, other, generator):
    path.write_bytes(b"")


def swap(path, other, generator):
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def swap_folders(path, other, generator):
    aside = path.parent.parent / "aside"
    if path.parent != other.parent and path.parent.name.startswith("step"):
        path.parent.rename(aside)
        other.parent.rename(path.parent)
        aside.rename(other.parent)


def remove(path, other, generator):
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, flip, empty, swap, swap_folders, remove])
def test_damage_is_never_loaded_silently(saved, tmp_path, damage):
    for case in range(40):
        generator = random.Random(f"{damage.__name__} {case}")
        folder = shutil.copytree(saved, tmp_path / str(case))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        in_steps = [path for path in files if path.parent != folder]
        damage(generator.choice(in_steps), generator.choice(in_steps), generator)
        try:
            last, damages = Checkpoints(folder).last()
        except UserError:
            continue
        assert last.step == 30 or damages
        weights = np.asarray(loaded(last).weights[0])
        assert np.all(weights == last.step)
        try:
            best = Checkpoints(folder).named("best")
        except UserError:
            continue
        assert best.step == BEST
        assert np.all(np.asarray(loaded(best).weights[0]) == BEST)


def test_a_pointer_that_lies_misleads_nobody(copied):
    (copied / "best").write_text("step-000000010\n")
    (copied / "last").write_text("../../somewhere\n")
    assert Checkpoints(copied).named("best").step == 20
    assert Checkpoints(copied).last()[0].step == 30
