"""Signals, streams and settings from outside: they lose nothing, and decide nothing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.commands import MODELS, ROOT, read, rows, run, start


def wait_for(path, process):
    while not path.exists():
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()


def test_a_signal_ends_all_jobs_of_a_multirun(tmp_path):
    words = f"-m seed=0,1 {MODELS['lenet5']} trainer.epochs=1000 run_dir=jobs"
    process = start("src.train", words, tmp_path)
    wait_for(tmp_path / "jobs" / "seed=0" / "metrics.jsonl", process)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (75, "")
    assert "stopped and saved" in out
    assert not (tmp_path / "jobs" / "seed=1").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_saves_before_it_ends_a_run(tmp_path, name):
    words = f"{MODELS['lenet5']} trainer.epochs=1000 run_dir=run"
    # Whoever runs the tests under nohup ignores SIGHUP, which a process inherits.
    heard = {"preexec_fn": lambda: signal.signal(getattr(signal, name), signal.SIG_DFL)}
    process = start("src.train", words, tmp_path, **heard)
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (75, "")
    lines = out.splitlines()
    assert "saving after this step; again to stop now" in lines
    assert lines[-1] == "stopped and saved; python -m src.train resume=run goes on"


def test_a_hang_up_that_is_ignored_ends_nothing(tmp_path):
    words = f"{MODELS['lenet5']} trainer.epochs=8 run_dir=run"
    nohup = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = start("src.train", words, tmp_path, **nohup)
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=100)
    assert process.returncode == 0


def test_a_second_ctrl_c_ends_a_run_at_once(tmp_path):
    # One call into TensorFlow, in which Python handles no signal: a single step takes it long.
    words = "model=lenet_mnist data=mnist_5k trainer.batch_size=3500 trainer.epochs=1000"
    process = start("src.train", f"{words} run_dir=run", tmp_path)
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    said = []
    while not said or "saving after" not in said[-1]:
        said.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


@pytest.mark.parametrize("wait", [0.3, 1.5, 3])
def test_a_signal_before_the_training_ends_it_without_a_traceback(tmp_path, wait):
    process = start("src.train", f"{MODELS['lenet5']} run_dir=run", tmp_path)
    time.sleep(wait)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode in (75, 130)
    assert err == ""


@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&-", ">/dev/full", "2>/dev/full", "| true"])
def test_streams_that_are_closed_or_full_end_no_training(tmp_path, streams):
    words = f"{MODELS['lenet5']} trainer.steps=2 run_dir=run"
    command = f"{sys.executable} -m src.train {words} {streams}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert read(tmp_path / "run" / "results.json")["status"] == "finished"
    assert "best, test" in (tmp_path / "run" / "train.log").read_text()


def test_what_nobody_can_read_is_a_line_where_it_is_all_there_was(tmp_path):
    for streams, status, lines in (("| true", 0, 0), (">/dev/full", 2, 1)):
        command = f"{sys.executable} -m src.describe model=lenet5 {streams}"
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (status, lines), ended.stderr


def test_the_users_keras_settings_decide_nothing(tmp_path):
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    mistaken = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1.0}
    (home / ".keras" / "keras.json").write_text(json.dumps({**mistaken, "backend": "nothing"}))
    words = f"{MODELS['lenet5']} trainer.steps=8 trainer.precision=float32"
    run("src.train", f"{words} run_dir=plain", tmp_path)
    command = [sys.executable, "-m", "src.train", *words.split(), "run_dir=theirs"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home)}
    environment |= {"KERAS_MAX_EPOCHS": "1", "KERAS_BACKEND": "jax"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    theirs, plain = rows(tmp_path / "theirs"), rows(tmp_path / "plain")
    assert [row["val_loss"] for row in theirs] == [row["val_loss"] for row in plain]
