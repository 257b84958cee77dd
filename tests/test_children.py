"""Commands in processes of their own: who has a run when one of two processes was killed."""

import signal
import subprocess
import sys
import time

import pytest

from src import children, launchers, signals
from src.errors import UserError
from tests.commands import ROOT, wait_for


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


@pytest.fixture
def saving(tmp_path, monkeypatch):
    """What a program in the place of Python writes when it is asked to end in order."""
    saved, program = tmp_path / "saved", tmp_path / "python"
    program.write_text(
        f"""#!{sys.executable}
import pathlib, sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
from src import signals
asked = threading.Event()
saved = pathlib.Path({str(saved)!r})
with signals.handled(), signals.deferred(asked.set):
    saved.with_name("begun").touch()
    in_time = asked.wait(10)
    time.sleep(0.7)
    saved.touch()
sys.exit(75 if in_time else 0)
"""
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return saved


def test_a_handler_that_interrupts_the_wait_has_the_run_saved(saving):
    seen = []

    def time_is_over(number, frame):
        wait_for(saving.with_name("begun"))
        launchers.Work("first", "train", [], None).checkpoint()
        seen.append(saving.exists())

    before = signal.signal(signal.SIGALRM, time_is_over)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        assert children.run("train", []) == 75
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [True]


def test_what_is_sent_to_all_processes_of_a_job_asks_a_child_once(saving):
    with children.Child("train", []) as child:
        wait_for(saving.with_name("begun"))
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT):
            child._process.send_signal(number)
        # Slurm sends it once more at the end of a job's time, and the parent hands it on, and ends.
        time.sleep(0.02)
        child._process.send_signal(signal.SIGTERM)
        child.ask()
    assert child.wait() == 75
    assert saving.exists()


def test_a_child_that_is_asked_twice_by_its_parent_ends_at_once(saving):
    with children.Child("train", []) as child:
        wait_for(saving.with_name("begun"))
        child.ask(1)
        child.ask(2)
        assert child.wait() == signals.ENDED_AT_ONCE
    assert not saving.exists()
