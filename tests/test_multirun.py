"""Several runs by one command: what is written down, what goes on, and what is said at the end."""

import json
import os
import signal
import time

import pytest

from src import children, launchers, multirun
from src.errors import UserError
from tests.commands import MODELS, read, rows, run, start

JOBS = [(f"seed={seed}", ["model=lenet5", f"seed={seed}", "run_dir=jobs"]) for seed in range(3)]


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Lets each job's process be a status, and its run what a finished run has written."""
    monkeypatch.chdir(tmp_path)
    statuses, begun = [], []

    def job(config_name, settings, pass_fds):
        begun.append(settings)
        status = statuses.pop(0)
        folder = tmp_path / settings[-1].partition("=")[2].strip("'")
        if status != 2:
            folder.mkdir(exist_ok=True)
            (folder / "config.yaml").touch()
        if status == 0:
            done = {"status": "finished", "metrics": {"val": {}, "test": {"accuracy": 0.5}}}
            (folder / "results.json").write_text(json.dumps(done))
        return status

    monkeypatch.setattr(children, "run", job)
    monkeypatch.setattr(multirun, "_over_seeds", lambda folders: ())
    return statuses, begun


def test_jobs_that_were_stopped_go_on_where_they_were(ended, tmp_path, capsys):
    statuses, begun = ended
    statuses += [0, 75]
    assert multirun.run("train", JOBS) == 75
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "stopped; python -m src.train resume=jobs goes on with the jobs"
    assert [line.split()[1:] for line in out.splitlines()[3:6]] == [
        ["done", "accuracy", "0.5"],
        ["stopped"],
        ["not", "begun"],
    ]
    del begun[:]
    statuses += [0, 0]
    assert multirun.go_on(tmp_path / "jobs") == 0
    where = f"{tmp_path}/jobs"
    assert begun == [
        [f"resume='{where}/seed=1'"],
        ["model=lenet5", "seed=2", f"run_dir='{where}/seed=2'"],
    ]


def test_the_jobs_that_failed_are_counted_and_named(ended, capsys):
    statuses, _ = ended
    statuses += [2, 0, 137]
    assert multirun.run("train", JOBS) == 137
    assert capsys.readouterr().out.splitlines()[-1] == (
        "2 of 3 jobs failed: seed=0 (a mistake), seed=2 (status 137)"
    )


def test_jobs_that_were_all_mistakes_leave_nothing(ended, tmp_path):
    statuses, _ = ended
    statuses += [2, 2, 2]
    assert multirun.run("train", JOBS) == 2
    assert not (tmp_path / "jobs").exists()


def test_a_second_multirun_into_the_folder_adds_its_jobs(ended, tmp_path):
    statuses, _ = ended
    statuses += [0, 0]
    multirun.run("train", JOBS[:1])
    multirun.run("train", JOBS[1:2])
    names = [job["name"] for job in read(tmp_path / "jobs" / multirun.RECORD)["jobs"]]
    assert names == ["seed=0", "seed=1"]


FORGERIES = {
    "above": {"name": "a", "folder": "..", "settings": []},
    "elsewhere": {"name": "a", "folder": "/tmp/x", "settings": []},
    "flag": {"name": "a", "folder": "a", "settings": ["-m"]},
    "another run": {"name": "a", "folder": "a", "settings": ["resume=/root"]},
    "launcher": {"name": "a", "folder": "a", "settings": ["hydra/launcher=x"]},
    "link": {"name": "a", "folder": "link", "settings": []},
    "unknown": {"name": "a", "folder": "a", "settings": [], "more": 1},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_jobs_that_a_stranger_wrote_down_lead_nowhere_else(forgery, tmp_path):
    (tmp_path / "link").symlink_to("/tmp")
    (tmp_path / multirun.RECORD).write_text(json.dumps({"jobs": [FORGERIES[forgery]]}))
    with pytest.raises(UserError, match="expected"):
        multirun.go_on(tmp_path)


def test_a_killed_multirun_goes_on_to_the_same_bits_and_ends_with_mean_and_deviation(tmp_path):
    words = f"{MODELS['lenet5']} trainer.epochs=12"
    process = start("src.train", f"-m seed=0,1 {words} run_dir=jobs", tmp_path)
    first = tmp_path / "jobs" / "seed=0" / "metrics.jsonl"
    while not first.exists():
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = len(first.read_text().splitlines())
    out, _ = run("src.train", "resume=jobs", tmp_path)
    run("src.train", f"seed=0 {words} run_dir=alone", tmp_path)
    alone, job = rows(tmp_path / "alone"), rows(tmp_path / "jobs" / "seed=0")
    assert 1 <= before < 12 == len(job)
    assert [row["val_loss"] for row in job] == [row["val_loss"] for row in alone]
    heading, line = out.splitlines()[-2:]
    assert heading.split()[:3] == ["runs", "val", "accuracy"]
    assert line.split()[0] == "2"
    assert line.count("±") == 4
    assert "is done" in run("src.train", "resume=jobs", tmp_path)[0]
    _, err = run("src.train", "resume=jobs seed=3", tmp_path, status=2)
    assert err == "error: expected resume= alone for several jobs; received seed=3\n"


def test_a_launcher_is_named_with_its_options_and_written_down(ended, tmp_path):
    statuses, _ = ended
    statuses += [0]
    launcher = launchers.parse({"name": "basic", "n_jobs": "3"})
    multirun.run("train", JOBS[:1], launcher)
    assert read(tmp_path / "jobs" / multirun.RECORD)["launcher"]["n_jobs"] == 3


def test_jobs_at_once_that_are_all_done_are_left_as_they_are(ended, tmp_path, capsys):
    statuses, _ = ended
    statuses += [0]
    multirun.run("train", JOBS[:1])
    record = tmp_path / "jobs" / multirun.RECORD
    written = read(record)
    record.write_text(json.dumps(written | {"launcher": {"name": "joblib"}}))
    assert multirun.go_on(tmp_path / "jobs") == 0
    assert "job 1/1: seed=0 is done\n" in capsys.readouterr().out
    # What is written down is checked like what is typed.
    record.write_text(json.dumps(written | {"launcher": {"name": "joblib", "n_jobs": 0}}))
    with pytest.raises(UserError, match="expected jobs; received"):
        multirun.go_on(tmp_path / "jobs")


def test_jobs_that_are_the_same_are_counted_one_by_one(tmp_path, monkeypatch, capsys):
    def at_once(launcher, work, parent, told):
        for place in range(len(work)):
            told(place)
        yield from ((place, 2) for place in range(len(work)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launchers, "run", at_once)
    multirun.run("train", [JOBS[0], JOBS[0]])
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("job ")] == [
        "job 1/2: seed=0",
        "job 2/2: seed=0",
    ]


LAUNCHERS = {
    "unknown": ({"name": "theirs"}, "hydra/launcher: .*'basic', 'joblib'.*; received theirs"),
    "option": ({"_target_": "x"}, "hydra.launcher._target_: .*; received x"),
    "none": ({"n_jobs": "0"}, "hydra.launcher.n_jobs: expected 1 or more, or -1; received 0"),
    "text": ({"partition": "a; rm -rf b"}, "hydra.launcher.partition: .*; received a; rm"),
}


@pytest.mark.parametrize("case", LAUNCHERS)
def test_a_launcher_is_none_of_a_strangers(case):
    options, line = LAUNCHERS[case]
    with pytest.raises(UserError, match=line):
        launchers.parse(options)


def test_jobs_at_once_are_stopped_together_and_go_on_together(tmp_path):
    words = f"{MODELS['lenet5']} trainer.epochs=20 run_dir=jobs"
    at_once = "hydra/launcher=joblib hydra.launcher.n_jobs=2"
    process = start("src.train", f"-m seed=0,1 {at_once} {words}", tmp_path)
    both = [tmp_path / "jobs" / f"seed={seed}" / "metrics.jsonl" for seed in (0, 1)]
    while not all(path.exists() for path in both):
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()
    process.terminate()
    out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (75, "")
    assert all(f"seed={seed}: stopped and saved" in out for seed in (0, 1))
    assert all(len(path.read_text().splitlines()) < 20 for path in both)
    out, _ = run("src.train", "resume=jobs", tmp_path)
    assert all(len(path.read_text().splitlines()) == 20 for path in both)
    assert [line.count("±") for line in out.splitlines()].count(4) == 1


def test_submitits_local_executor_runs_the_jobs(tmp_path):
    words = f"{MODELS['lenet5']} trainer.steps=2 run_dir=jobs"
    launcher = "hydra/launcher=submitit_local hydra.launcher.timeout_min=5"
    out, err = run("src.train", f"-m seed=0,1 {launcher} {words}", tmp_path)
    assert err == ""
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("seed=")] == [
        ["seed=0", "done"],
        ["seed=1", "done"],
    ]
    # What submitit has written is gone.
    left = {path.name for path in (tmp_path / "jobs").iterdir()}
    assert left == {multirun.RECORD, "seed=0", "seed=1", ".lock", ".seed=0.child", ".seed=1.child"}
