"""A run that was stopped ends as the one that was left alone: bit for bit."""

import random
import shutil
import signal
import time

import h5py
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.commands import MODELS, read, rows, run, start

# What a clock decides is no part of the result.
CLOCK = ("seconds", "images_per_second")
LENGTH = "trainer.epochs=3 trainer.checkpoint_every=3 trainer.ema=0.99"


def end_state(folder):
    """All that a run has come to: arrays by name, what was logged, what is remembered."""
    checkpoints = folder / "checkpoints"
    last = checkpoints / (checkpoints / "last").read_text().strip()
    arrays = dict(np.load(last / "training.npz"))
    with h5py.File(last / "model.weights.h5") as file:
        file.visititems(
            lambda name, item: (
                arrays.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None
            )
        )
    logged = [{key: row[key] for key in row if key not in CLOCK} for row in rows(folder)]
    remembered = (last / "state.json").read_text(), (checkpoints / "best").read_text()
    curves = {}
    for part in ("train", "val", "pictures"):
        events = EventAccumulator(str(folder / "tensorboard" / part), {"tensors": 0}).Reload()
        for tag in events.Tags()["tensors"]:
            if tag not in CLOCK:
                curves[part, tag] = [
                    (event.step, event.tensor_proto.SerializeToString())
                    for event in events.Tensors(tag)
                ]
    return arrays, logged, remembered, curves, read(folder / "results.json")["metrics"]


def assert_equal(one, other):
    (arrays, *rest), (others, *other_rest) = end_state(one), end_state(other)
    assert arrays.keys() == others.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []
    for mine, theirs in zip(rest, other_rest, strict=True):
        assert mine == theirs


def stop_after(process, folder, seconds, sign):
    """Signals a training some time after its first checkpoint; returns its exit status."""
    checkpoints = folder / "checkpoints"
    known = set(checkpoints.glob("step-*"))
    while process.poll() is None and not set(checkpoints.glob("step-*")) - known:
        time.sleep(0.02)
    time.sleep(seconds)
    process.send_signal(sign)
    process.communicate(timeout=120)
    return process.returncode


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ("lenet5", "bfloat16"),
        ("lenet_mnist", "float32"),
        ("autoencoder", "bfloat16"),
        ("fcn", "float32"),
    ],
)
def test_a_killed_and_a_stopped_run_end_as_if_left_alone(model, precision, tmp_path):
    words = f"{MODELS[model]} {LENGTH} trainer.precision={precision}"
    run("src.train", f"{words} run_dir=alone", tmp_path)
    process = start("src.train", f"{words} run_dir=stopped", tmp_path)
    assert stop_after(process, tmp_path / "stopped", 0, signal.SIGKILL) in (-9, 0)
    process = start("src.train", "resume=stopped", tmp_path)
    assert stop_after(process, tmp_path / "stopped", 0, signal.SIGTERM) in (75, 0)
    run("src.train", "resume=stopped", tmp_path)
    assert_equal(tmp_path / "alone", tmp_path / "stopped")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", MODELS)
def test_a_run_killed_again_and_again_ends_as_if_left_alone(model, precision, tmp_path):
    words = f"{MODELS[model]} trainer.epochs=40 trainer.checkpoint_every=3 trainer.ema=0.99"
    words += f" trainer.precision={precision}"
    run("src.train", f"{words} run_dir=alone", tmp_path)
    generator = random.Random(model + precision)
    process = start("src.train", f"{words} run_dir=stopped", tmp_path)
    kills = 0
    while stop_after(process, tmp_path / "stopped", generator.random() * 0.3, signal.SIGKILL):
        kills += 1
        process = start("src.train", "resume=stopped", tmp_path)
    assert kills >= 10
    assert_equal(tmp_path / "alone", tmp_path / "stopped")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two epochs, with the newest three of its checkpoints."""
    folder = tmp_path_factory.mktemp("finished")
    run("src.train", f"{MODELS['lenet5']} trainer.epochs=2 trainer.keep=3 run_dir=run", folder)
    return folder / "run"


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_a_finished_run_says_so_and_may_be_extended(copied, tmp_path):
    out, _ = run("src.train", "resume=run", tmp_path)
    assert "run is finished" in out
    run("src.train", "resume=run trainer.epochs=3", tmp_path)
    assert [row["epoch"] for row in rows(copied)] == [1, 2, 3]
    assert read(copied / "results.json")["steps"] == 21


def test_changed_settings_are_refused_unless_forced(copied, tmp_path):
    words = "resume=run trainer.epochs=3 optimizer.learning_rate=0.01 optimizer.schedule=constant"
    _, err = run("src.train", words, tmp_path, status=2)
    changes = "optimizer.learning_rate=0.01 (was 0.003), optimizer.schedule=constant (was cosine)"
    assert changes in err
    assert len(rows(copied)) == 2
    run("src.train", f"{words} force=true", tmp_path)
    assert rows(copied)[2]["learning_rate"] == pytest.approx(0.01)


def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_it_used(copied, tmp_path):
    newest = sorted((copied / "checkpoints").glob("step-*"))[-1]
    with (newest / "model.weights.h5").open("r+b") as file:
        file.truncate(1000)
    out, _ = run("src.train", "resume=run trainer.epochs=3", tmp_path)
    assert "damaged model.weights.h5" in out
    assert "going on from step 7" in out
    assert [row["epoch"] for row in rows(copied)] == [1, 2, 3]


def test_with_no_whole_checkpoint_left_nothing_is_touched(copied, tmp_path):
    for state in (copied / "checkpoints").glob("step-*/state.json"):
        state.write_text("{}")
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    _, err = run("src.train", "resume=run trainer.epochs=3", tmp_path, status=2)
    assert "expected a whole checkpoint" in err
    after = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    assert after == before


def test_a_second_training_in_the_same_folder_is_refused(tmp_path):
    words = f"{MODELS['lenet5']} trainer.epochs=1000 run_dir=run"
    first = start("src.train", words, tmp_path)
    try:
        while not (tmp_path / "run" / "checkpoints" / "last").exists():
            time.sleep(0.1)
        _, err = run("src.train", "resume=run", tmp_path, status=2)
        assert "in which no other process trains; received run" in err
    finally:
        first.kill()
        first.communicate()
