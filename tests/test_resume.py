"""A run that was stopped ends as the one that was left alone: bit for bit."""

import json
import random
import re
import shutil
import signal
import time
from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit

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
    events = EventAccumulator(str(folder / "tensorboard"), {"tensors": 0}).Reload()
    curves = {
        tag: [(event.step, event.tensor_proto.SerializeToString()) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if tag.removeprefix("training/") not in CLOCK and not tag.startswith("run/")
    }
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


def kill_and_resume(words, folder):
    """Trains `whole` and `stopped`, which is killed and goes on, and compares them to the bit."""
    run("src.train", f"{words} run_dir=whole", folder)
    process = start("src.train", f"{words} run_dir=stopped", folder)
    stop_after(process, folder / "stopped", 0, signal.SIGKILL)
    run("src.train", "resume=stopped", folder)
    assert_equal(folder / "whole", folder / "stopped")


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ("lenet5", "bfloat16"),
        pytest.param("lenet_mnist", "float32", marks=pytest.mark.slow),
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
    # 13 kills of each of the eight are 104.
    for kill in range(13):
        if kill % 4 == 3:
            # Anywhere, most often while it starts.
            time.sleep(generator.random() * 10)
            process.kill()
            process.communicate(timeout=120)
            assert process.returncode == -9
        else:
            seconds = generator.random() * 0.3
            assert stop_after(process, tmp_path / "stopped", seconds, signal.SIGKILL) == -9
        process = start("src.train", "resume=stopped", tmp_path)
    process.communicate(timeout=600)
    assert process.returncode == 0
    assert_equal(tmp_path / "alone", tmp_path / "stopped")


def test_patience_and_plateau_go_on_where_they_stood(tmp_path):
    # At such a rate nothing improves: 1 epoch, the best, and 4 in vain, the rate halved after 2.
    words = f"{MODELS['lenet5']} trainer.checkpoint_every=3 trainer.ema=0.9 optimizer=sgd"
    words += " optimizer.learning_rate=1e-12 optimizer.momentum=0.9 optimizer.weight_decay=0"
    halved = "optimizer.schedule=plateau optimizer.decay=0.5 optimizer.plateau_epochs=2"
    words += f" {halved} trainer.epochs=30"
    run("src.train", f"{words} trainer.patience=4 run_dir=alone", tmp_path)
    rates = [row["learning_rate"] for row in rows(tmp_path / "alone")]
    np.testing.assert_allclose(rates, [1e-12, 1e-12, 1e-12, 5e-13, 5e-13])
    assert read(tmp_path / "alone" / "results.json")["status"] == "finished"

    process = start("src.train", f"{words} trainer.patience=4 run_dir=stopped", tmp_path)
    last = tmp_path / "stopped" / "checkpoints" / "last"
    while not (last.exists() and last.read_text() >= "step-000000014"):
        time.sleep(0.02)
    process.kill()
    process.communicate()
    run("src.train", "resume=stopped", tmp_path)
    assert_equal(tmp_path / "alone", tmp_path / "stopped")

    # An early stop leaves raw weights and averages as a run of this length does.
    run("src.train", f"{words} trainer.steps=35 run_dir=short", tmp_path)
    stopped, short = (end_state(tmp_path / name)[0] for name in ("alone", "short"))
    assert [name for name in short if not np.array_equal(short[name], stopped[name])] == []


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
    before = contents(copied)
    _, err = run("src.train", "resume=run trainer.epochs=3", tmp_path, status=2)
    assert "expected a whole checkpoint" in err
    assert contents(copied) == before


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


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_ended_before_its_evaluation_is_evaluated(copied, tmp_path):
    results = read(copied / "results.json")
    found = dict(results["metrics"])
    del results["metrics"]["test"]
    (copied / "results.json").write_text(json.dumps(results))
    run("src.train", "resume=run", tmp_path)
    assert read(copied / "results.json")["metrics"] == found


def test_a_full_disk_is_told_in_one_line_and_harms_no_checkpoint(copied, tmp_path):
    before = contents(copied / "checkpoints")
    # A checkpoint of LeNet-5 holds 61,706 weights thrice, 740 kB.
    environment = {"preexec_fn": lambda: setrlimit(RLIMIT_FSIZE, (600_000, RLIM_INFINITY))}
    words = "resume=run trainer.epochs=3"
    _, err = run("src.train", words, tmp_path, status=2, **environment)
    assert re.fullmatch(r"error: expected to write to run.*; received File too large\n", err)
    assert contents(copied / "checkpoints") == before
    run("src.train", words, tmp_path)
    assert [row["epoch"] for row in rows(copied)] == [1, 2, 3]


def test_a_folder_that_can_no_longer_be_written_to_is_told_in_one_line(tmp_path):
    folder = tmp_path / "run"
    process = start("src.train", f"{MODELS['lenet5']} trainer.epochs=1000 run_dir=run", tmp_path)
    while not (folder / "checkpoints" / "last").exists():
        time.sleep(0.02)
    while True:
        try:
            (folder / "checkpoints").rename(folder / "elsewhere")
            (folder / "checkpoints").touch()
            break
        except OSError:  # A checkpoint was being written: its folder is there again.
            time.sleep(0.02)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert re.fullmatch(r"error: expected to write to run/checkpoints\S*; received [^\n]+\n", err)
    (folder / "checkpoints").unlink()
    (folder / "elsewhere").rename(folder / "checkpoints")
    run("src.eval", "run=run checkpoint=last", tmp_path)


def test_a_loss_that_is_not_finite_names_its_step_and_keeps_what_was_good(copied, tmp_path):
    before = read(copied / "results.json")["metrics"]["test"]
    words = "resume=run force=true trainer.epochs=5 trainer.checkpoint_every=1"
    words += " optimizer=sgd optimizer.learning_rate=100 optimizer.weight_decay=10"
    out, err = run("src.train", words, tmp_path, status=2)
    assert "the optimizer is another than before and begins anew" in out
    failed = re.fullmatch(r"error: expected .*finite .*; received .* step (\d+)[^\n]*\n", err)
    assert int(failed[1]) > 14
    last = (copied / "checkpoints" / "last").read_text()
    assert last == f"step-{int(failed[1]) - 1:09d}\n"
    run("src.eval", "run=run checkpoint=best", tmp_path)
    assert read(copied / "results.json")["metrics"]["test"] == before
    run("src.eval", "run=run checkpoint=last", tmp_path)


def test_a_checkpoint_of_another_model_is_refused(copied, tmp_path):
    run("src.train", f"{MODELS['lenet_mnist']} trainer.steps=7 run_dir=other", tmp_path)
    for step in (copied / "checkpoints").glob("step-*"):
        shutil.rmtree(step)
    shutil.copytree(tmp_path / "other" / "checkpoints", copied / "checkpoints", dirs_exist_ok=True)
    for module, words in (("src.eval", "run=run"), ("src.train", "resume=run trainer.epochs=3")):
        _, err = run(module, words, tmp_path, status=2)
        assert re.fullmatch(
            r"error: .*expected the weights of model=lenet5; received [^\n]+\n", err
        )


def test_paths_may_have_spaces_and_umlauts(tmp_path):
    path = "Müller & Söhne (2026)/ein = Lauf, der '2.'"
    words = ["model=lenet5", "data=mnist_5k", "trainer.steps=2", f"run_dir={path}"]
    run("src.train", words, tmp_path)
    run("src.train", [f"resume={path}", "trainer.steps=4"], tmp_path)
    out, _ = run("src.eval", [f"run={path}"], tmp_path)
    assert path in out
