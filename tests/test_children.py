"""Commands in processes of their own: who has a run when one of two processes was killed."""

import subprocess

import pytest

from src import children
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
