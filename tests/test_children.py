"""Commands in processes of their own: who has a run when one of two processes was killed."""

import signal
import subprocess
import sys

import pytest

from src import children, launchers
from src.errors import UserError


def test_a_run_is_not_free_while_a_child_is_left_of_a_parent_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "_PATIENCE", 0.0)
    folder = tmp_path / "run"
    with children.alone(folder) as descriptors:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=descriptors)
    with (
        pytest.raises(UserError, match="expected a folder in which no other process trains"),
        children.alone(folder),
    ):
        pass
    child.communicate()
    with children.alone(folder):
        assert not folder.exists()


def test_whoever_goes_on_waits_for_the_child(tmp_path):
    with children.alone(tmp_path / "run") as descriptors:
        child = subprocess.Popen(["sleep", "1"], pass_fds=descriptors)
    with children.alone(tmp_path / "run"):
        assert child.poll() == 0


def test_a_handler_that_interrupts_the_wait_has_the_run_saved(tmp_path, monkeypatch):
    saved, program = tmp_path / "saved", tmp_path / "python"
    program.write_text(
        f"#!/bin/sh\ntrap 'sleep 0.5; touch {saved}; exit 75' TERM\nfor i in $(seq 100); do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    seen = []

    def time_is_over(number, frame):
        launchers.Work("first", "train", [], None).checkpoint()
        seen.append(saved.exists())

    before = signal.signal(signal.SIGALRM, time_is_over)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        assert children.run("train", []) == 75
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [True]
