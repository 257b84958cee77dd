"""How a run's folder is found, and what may not be in it."""

import errno
import fcntl
import os
import time

import pytest

from src import multirun, runs
from src.errors import UserError


def make(folder, age=0.0):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    when = time.time() - age
    os.utime(folder / "config.yaml", (when, when))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    return tmp_path


def test_the_latest_run_is_found_through_links_but_not_in_circles(here):
    make(here / "outputs" / "lenet5" / "a", age=50)
    assert runs.find("latest").name == "a"
    make(here / "elsewhere" / "b", age=10)
    (here / "outputs" / "fcn").symlink_to(here / "elsewhere")
    (here / "outputs" / "round").symlink_to(here / "outputs")
    (here / "elsewhere" / "back").symlink_to(here / "outputs")
    assert runs.find("latest").name == "b"
    make(here / "outputs" / "multirun" / "x" / "y" / "z" / "c", age=5)
    assert runs.find("latest").name == "c"


@pytest.mark.parametrize(
    "name",
    ["x" * 300, "a/" * 3000, "a\0b", "nowhere", "/dev/null", ""],
    ids=["long", "deep", "null", "absent", "a file", "empty"],
)
def test_what_is_no_run_is_told_in_one_line(here, name):
    with pytest.raises(UserError, match="expected a run's folder") as caught:
        runs.find(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "name",
    [
        *("config.yaml", "results.json", "metrics.jsonl", "train.log", ".lock", ".results.lock"),
        *("checkpoints", "tensorboard", "figures", "figures/a.png", "tensorboard/train/events"),
        *("checkpoints/step-000000001", "checkpoints/last"),
    ],
)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_nothing_of_a_run_leads_out_of_it(here, name, kind):
    folder = make(here / "run")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(here)
    else:
        os.mkfifo(path)
    with pytest.raises(UserError, match=f"of the run's own; received .*{name.split('/')[-1]}"):
        runs.find("run")


@pytest.mark.parametrize("name", ["results.json", "metrics.jsonl", "train.log", ".lock"])
def test_a_folder_in_the_place_of_a_file_is_told(here, name):
    (make(here / "run") / name).mkdir()
    with pytest.raises(UserError, match=f"expected a file of the run's own; received .*{name}"):
        runs.find("run", whole=True)


def test_whoever_only_evaluates_needs_no_place_for_what_is_drawn(here):
    (make(here / "run") / "figures").touch()
    assert runs.find("run") == runs.Path("run")
    with pytest.raises(UserError, match=r"expected a folder of the run's own; received .*figures"):
        runs.find("run", whole=True)


@pytest.mark.parametrize("way", ["removed", "renamed", "replaced", "removed in part"])
def test_a_folder_that_is_gone_is_no_place_to_write(here, way):
    folder = make(here / "run")
    place = runs.Place(folder)
    place.check()
    (folder / "config.yaml").rename(here / "config.yaml")
    if way != "removed in part":
        folder.rename(here / "elsewhere")
    if way == "removed":
        (here / "elsewhere").rmdir()
    if way == "replaced":
        make(folder)
    with pytest.raises(OSError, match="the run's folder is gone"):
        place.check()


def test_a_run_that_was_killed_before_it_began_is_in_nobodys_way(here):
    (here / "run").mkdir()
    (here / "run" / ".lock").touch()
    (here / "run" / ".config.yaml.writing").touch()
    assert runs.create("lenet5", "run") == runs.Path("run")
    (here / "run" / "config.yaml").touch()
    with pytest.raises(UserError, match="expected a new or empty folder"):
        runs.create("lenet5", "run")


def test_a_lock_empties_nothing_and_is_one_process_own(here):
    folder = make(here / "run")
    (folder / ".lock").write_text("somebody's notes")
    with runs.locked(folder):
        with pytest.raises(UserError, match="no other process trains"), runs.locked(folder):
            pass
        assert (folder / ".lock").read_text() == "somebody's notes"
    with runs.locked(folder):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_noticed_and_used(here, number, monkeypatch, capsys):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with runs.locked(make(here / "run")):
        pass
    assert "no locks on this file system" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["x" * 300, "a/" * 3000, "made/" + "y" * 256, "a\0b"],
    ids=["long", "deep", "long in a new one", "null"],
)
def test_a_name_that_no_file_system_takes_is_told_and_makes_nothing(here, name):
    with pytest.raises(UserError, match="expected a folder that can be written to"):
        runs.create("lenet5", name)
    assert list(here.iterdir()) == []


def as_nobody(call):
    """Calls something in a process of a user who is not root, and returns what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgid(65534)
            os.setuid(65534)
            said = str(call())
        except BaseException as error:
            said = f"{type(error).__name__} {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize(
    "call",
    [
        lambda: runs.find("closed/run"),
        lambda: runs.create("lenet5", "closed/new"),
        lambda: runs.create("lenet5", "closed"),
        lambda: runs.check_regular(runs.Path("closed/run")),
    ],
    ids=["find", "create in it", "create it", "check"],
)
def test_a_folder_that_may_not_be_entered_is_told(here, call):
    make(here / "closed" / "run")
    (here / "closed").chmod(0o700)
    said = as_nobody(call)
    assert said.startswith("UserError expected")
    assert "\n" not in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_a_folder_that_may_not_be_entered_is_not_taken_for_several_jobs(here):
    make(here / "closed" / "run")
    (here / "closed").chmod(0o700)
    assert as_nobody(lambda: str(multirun.holds("closed/run"))) == "False"


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_another_users_latest_runs_are_passed_over(here):
    make(here / "outputs" / "open" / "mine", age=50)
    make(here / "outputs" / "closed" / "theirs")
    (here / "outputs" / "closed").chmod(0o700)
    assert as_nobody(lambda: runs.find("latest")) == "outputs/open/mine"
