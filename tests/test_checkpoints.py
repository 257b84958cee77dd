"""A checkpoint is whole or it is not used; what is damaged is said, never silently loaded."""

import hashlib
import io
import json
import random
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from src.errors import UserError
from src.training.checkpoint import State
from src.training.checkpoints import Checkpoints
from src.training.model import TrainingModel

STEPS = (10, 20, 30)
BEST = 20


def model_at(step):
    """A small model all of whose weights are the step, with an average of half of it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = TrainingModel(keras.Model(inputs, keras.layers.Dense(2)(inputs), name="small"), 0.9)
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
    checkpoints.save(model, groups, State(step=step, best_step=best_step))


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
        # The one before the newest stays: the newest may yet turn out to be damaged.
        (1, [10, 10, 10, 10], [10, 30, 40]),
        (1, [10, 20, 30, 40], [30, 40]),
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


def test_what_is_damaged_neither_counts_nor_goes(copied):
    (copied / "step-000000030" / "training.npz").write_bytes(b"")
    save(Checkpoints(copied, keep=2), 25, 20)
    names = sorted(path.name for path in copied.glob("step-*"))
    assert names == ["step-000000020", "step-000000025", "step-000000030"]
    # The files of a checkpoint are exchanged behind the back of the process that has seen it whole.
    checkpoints = Checkpoints(copied, keep=2)
    save(checkpoints, 35, 35)
    (copied / "step-000000035" / "training.npz").write_bytes(b"")
    save(checkpoints, 40, 40)
    whole = {"step-000000025", "step-000000040"}
    assert {path.name for path in copied.glob("step-*")} >= whole


def test_what_is_no_checkpoint_is_left_alone(copied):
    (copied / "step-by-step.txt").write_text("of somebody's")
    (copied / "step-7").mkdir()
    (copied / "step-000000099 (copy)").mkdir()
    checkpoints = Checkpoints(copied, keep=2)
    save(checkpoints, 40, 40)
    checkpoints.tidy(checkpoints.last()[0])
    left = {"step-by-step.txt", "step-7", "step-000000099 (copy)"}
    assert {path.name for path in copied.iterdir()} >= left
    assert checkpoints.last()[0].step == 40


def test_what_is_damaged_and_newer_is_set_aside(copied):
    for _ in range(2):
        shutil.copytree(copied / "step-000000020", copied / "step-000000050", dirs_exist_ok=True)
        (copied / ".step-000000060.writing").mkdir()
        checkpoints = Checkpoints(copied)
        last, damages = checkpoints.last()
        assert damages == ["step-000000050 with the contents of step-000000020"]
        checkpoints.tidy(last)
        assert checkpoints.last() == (last, [])
    names = {path.name for path in copied.iterdir()} - {"last", "best"}
    aside = {f"damaged-{number}-step-000000050" for number in (1, 2)}
    assert names == aside | {f"step-{step:09d}" for step in STEPS}


def sign(folder):
    """Makes the digests those of the files, as a forger would."""
    parts = ("model.weights.h5", "training.npz", "state.json")
    digests = {part: hashlib.sha256((folder / part).read_bytes()).hexdigest() for part in parts}
    (folder / "digests.json").write_text(json.dumps(digests))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "3", "{}", "[" * 100_000, "\xff", '{"step": 30}'),
        *('{"step": "30", "best_step": 30}', '{"step": true, "best_step": 30}'),
        *('{"step": 1e30, "best_step": 30}', '{"step": 30, "best_step": -1}'),
        *('{"step": 30, "best_step": "../x"}', '{"step": 30, "best_step": 30, "best": NaN}'),
        *('{"step": 30, "best_step": 30, "waited": []}', '{"step": 30, "best_step": 30, "x": 1}'),
        '{"step": ' + "9" * 5000 + ', "best_step": 30}',
    ],
    ids=lambda text: text[:30].encode("ascii", "replace").decode() or "empty",
)
def test_a_forged_state_is_damage(copied, text):
    (copied / "step-000000030" / "state.json").write_bytes(text.encode("latin-1"))
    sign(copied / "step-000000030")
    last, damages = Checkpoints(copied).last()
    assert (last.step, damages) == (20, ["step-000000030 with a damaged state.json"])


def declare_much(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", shape=(1 << 33,), dtype="f4")


def declare_chunks(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", shape=(3, 2), dtype="f4", chunks=(3, 2))


def store_elsewhere(file):
    del file["layers/dense/vars/0"]
    outside = [("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("layers/dense/vars/0", shape=(3, 2), dtype="f4", external=outside)


def link_elsewhere(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "/x")


def link_in_a_ring(file):
    file["layers/dense/ring"] = file["layers"]


def link_without_end(file):
    for number in range(60):
        file[f"ring{number}"] = file["/"]


def add_an_array(file):
    file["layers/dense/vars/2"] = np.zeros(7, "f4")


def remove_an_array(file):
    del file["layers/dense/vars/0"]


def make_it_text(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = "text"


@pytest.mark.parametrize(
    "forge",
    [
        *(declare_much, declare_chunks, store_elsewhere, link_elsewhere, link_in_a_ring),
        link_without_end,
        *(add_an_array, remove_an_array, make_it_text),
    ],
)
def test_forged_weights_are_refused_before_they_are_read(copied, forge, monkeypatch):
    folder = copied / "step-000000030"
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        forge(file)
    sign(folder)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: pytest.fail("read it"))
    with pytest.raises(UserError, match="expected the weights of model=small") as caught:
        loaded(Checkpoints(copied).last()[0])
    assert len(str(caught.value)) < 500


def archive(path, **arrays):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in arrays.items():
            file.writestr(f"{name}.npy", content)


def saved_array(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def head_only(shape):
    buffer = io.BytesIO()
    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, head)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ([saved_array(np.array([print, None]), allow_pickle=True)] * 2, "object in the place"),
        ([head_only((3, 2)), head_only((2,))], "EOF|cannot reshape|read"),
        ([head_only((1 << 40,)), head_only((2,))], "in the place of"),
        ([saved_array(np.zeros((3, 2)))], "1 arrays of averages in the place of 2"),
        ([saved_array(np.zeros((2, 3))), saved_array(np.zeros(2))], "in the place of"),
        ([b"", b""], "magic|EOF|read"),
    ],
    ids=["objects", "heads only", "huge", "too few", "another shape", "empty"],
)
def test_forged_arrays_are_refused(copied, contents, reason):
    folder = copied / "step-000000030"
    named = {f"averages {number:04d} x": content for number, content in enumerate(contents)}
    archive(folder / "training.npz", **named)
    sign(folder)
    with pytest.raises(UserError, match=f"expected 2 arrays of averages; received .*({reason})"):
        loaded(Checkpoints(copied).last()[0])


def test_a_file_that_is_mostly_nothing_is_not_read_to_its_end(copied):
    with (copied / "step-000000030" / "training.npz").open("r+b") as file:
        file.truncate(1 << 40)
    last, damages = Checkpoints(copied).last()
    assert (last.step, damages) == (20, ["step-000000030 with a missing training.npz"])


def test_a_kill_before_the_pointers_moved_is_made_good(copied):
    (copied / "last").write_text("step-000000020\n")
    (copied / "best").unlink()
    (copied / ".best.writing").touch()
    (copied / ".step-000000040.writing").touch()
    checkpoints = Checkpoints(copied)
    checkpoints.tidy(checkpoints.last()[0])
    assert (copied / "last").read_text() == "step-000000030\n"
    assert (copied / "best").read_text() == "step-000000020\n"
    assert [path.name for path in copied.iterdir() if path.name.startswith(".")] == []


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
    other = TrainingModel(keras.Model(inputs, keras.layers.Dense(7)(inputs)), None)
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
