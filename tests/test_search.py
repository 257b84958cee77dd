"""The search: what a space may say, and that no kill changes what comes of it."""

import json
import math
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from PIL import Image

from src import children, cli, config, search, study, study_pictures, train
from src.config.search import SearchOptions
from src.errors import UserError
from tests.commands import MODELS, rows, run, start

SPACE = "search.space={optimizer.learning_rate: [1e-4, 1e-1, log], model.c3: [sparse, dense]}"
WORDS = ["model=lenet5", "data=mnist_5k"]


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Lets a run be three epochs whose scores follow from its settings, without a process."""
    monkeypatch.chdir(tmp_path)

    def job(config_name, settings, pipes, fds, meanwhile):
        last = settings[-1].partition("=")
        folder = tmp_path / last[2].strip("'")
        folder.mkdir(exist_ok=True)
        if last[0] == "run_dir":
            (folder / "words").write_text("\n".join(settings))
            (folder / "config.yaml").touch()
        words = dict(word.split("=") for word in (folder / "words").read_text().split())
        rate, c3 = float(words["optimizer.learning_rate"]), words["model.c3"]
        best = 1 - abs(math.log10(rate) + 2) / 4 - 0.1 * (c3 == "sparse")
        # As a process inherits them, among them what tells others that it is still there.
        answers, asking, *others = map(os.dup, fds)
        done = folder / "metrics.jsonl"

        def epochs():
            for epoch in range(len(rows(folder)) if done.exists() else 0, 3):
                score = best * (epoch + 1) / 3
                with done.open("a") as lines:
                    row = {"epoch": epoch + 1, "step": epoch + 1, "val_accuracy": score}
                    lines.write(json.dumps(row) + "\n")
                with suppress(BrokenPipeError):
                    os.write(asking, f"{epoch + 1} {score!r}\n".encode())
                answer = os.read(answers, 1)
                # Without an answer it trains on, and is asked to stop a little later.
                if answer == b"0" or (not answer and epoch == 1):
                    break
            else:
                made = {"status": "finished", "metrics": {"val": {"accuracy": best}, "test": {}}}
                (folder / "results.json").write_text(json.dumps(made))
            for descriptor in (answers, asking, *others):
                os.close(descriptor)

        threading.Thread(target=epochs, daemon=True).start()
        meanwhile()
        return 0

    monkeypatch.setattr(children, "run", job)
    monkeypatch.setattr(search, "_report", lambda folder, own, metric: 0)


def begin(*words):
    space = [] if any(word.startswith("search.space=") for word in words) else [SPACE]
    keys = search.keys(config.Train, config.Search)
    said = search.overrides.read([*WORDS, *space, *words], "search", keys)
    return search.main(cli.composed("search", said.settings), said.settings)


def trials(folder, metric="max"):
    own = study.open_study(folder, SearchOptions(), metric)
    return [(t.state.name, t.params, t.values, t.intermediate_values) for t in own.get_trials()]


@pytest.mark.parametrize("pruner", ["median", "null"])
def test_a_search_that_is_killed_between_any_two_lines_ends_as_if_left_alone(
    quick, tmp_path, monkeypatch, pruner
):
    options = (f"search.pruner={pruner}", "search.trials=25")
    begin(*options, "run_dir=alone/study")
    append, counts = JournalFileBackend.append_logs, [0, 0]

    def killing(self, logs):
        counts[0] += 1
        if counts[0] % 7 == 0:
            counts[1] += 1
            raise Killed
        append(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", killing)
    words = [*options, "run_dir=killed/study"]
    while True:
        try:
            assert begin(*words) == 0
            break
        except Killed:
            pass
        if (tmp_path / "killed" / "study" / search.RECORD).exists():
            break
    while True:
        try:
            resume = search.main(
                cli.composed("search", ["resume=killed/study"]), ["resume=killed/study"]
            )
            assert resume == 0
            break
        except Killed:
            pass
    monkeypatch.setattr(JournalFileBackend, "append_logs", append)
    assert counts[1] >= 20
    left = trials(tmp_path / "alone" / "study")
    assert trials(tmp_path / "killed" / "study") == left
    assert len(left) == 25
    states = {state for state, *_ in left}
    assert states == ({"COMPLETE"} if pruner == "null" else {"COMPLETE", "PRUNED"})


def test_hyperband_prunes(quick, tmp_path):
    begin("search.pruner=hyperband", "search.trials=25", "run_dir=s")
    assert {state for state, *_ in trials(tmp_path / "s")} == {"COMPLETE", "PRUNED"}


def test_a_search_that_is_stopped_goes_on(quick, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(search, "_train", lambda *_: (75, False))
        assert begin("search.trials=2", "run_dir=s") == 75
    assert capsys.readouterr().out.splitlines()[-1] == (
        "stopped; python -m src.search resume=s goes on"
    )
    assert [state for state, *_ in trials(tmp_path / "s")] == ["RUNNING"]
    assert search.main(cli.composed("search", ["resume=s"]), ["resume=s"]) == 0
    assert [state for state, *_ in trials(tmp_path / "s")] == ["COMPLETE", "COMPLETE"]


@pytest.mark.parametrize(("status", "times"), [(2, 1), (137, 3)], ids=["a mistake", "killed"])
def test_a_run_that_fails_is_a_failed_trial(quick, tmp_path, monkeypatch, status, times):
    tried = []
    monkeypatch.setattr(search, "_train", lambda *_: tried.append(1) or (status, False))
    assert begin("search.trials=1", "run_dir=s") == 0
    assert [state for state, *_ in trials(tmp_path / "s")] == ["FAIL"]
    # What was killed, as by a lack of memory, is gone on with twice.
    assert len(tried) == times


def test_the_sampler_finds_what_is_better(quick, tmp_path):
    begin("search.trials=40", "search.pruner=null", "run_dir=s")
    values = [values[0] for _, _, values, _ in trials(tmp_path / "s")]
    assert sum(values[20:]) > sum(values[:20])
    assert max(values) > 0.95


def test_the_pictures_of_a_study_are_drawn(quick, tmp_path):
    begin("search.trials=25", "run_dir=s")
    own = study.open_study(tmp_path / "s", SearchOptions(), "max")
    written = study_pictures.draw(own, "val accuracy", tmp_path / "s" / "figures")
    assert sorted(path.stem for path in written) == [
        *("epochs", "history", "importances", "parallel", "slices")
    ]
    for path in written:
        with Image.open(path) as picture:
            assert picture.width > 500


SPACES = {
    "none": ("null", "expected search.space="),
    "no list": ("{seed: 3}", "expected search.space as"),
    "empty": ("{seed: []}", "expected search.space as"),
    "turned": ("{seed: [9, 1, log]}", "low below high and above 0"),
    "zero": ("{optimizer.weight_decay: [0, 1, log]}", "above 0"),
    "key": ("{optimizer.rate: [1, 2]}", "expected a known key; received optimizer.rate"),
    "value": ("{trainer.batch_size: [0, 10]}", "greater than or equal to 1; received 0"),
    "choice": ("{model.c3: [sparse, thick]}", "received 'thick'"),
    "range": ("{optimizer.learning_rate: [1.0, 1000.0, log]}", "less than or equal to 100"),
    "task": ("{model: [lenet5, autoencoder]}", "expected models for classification"),
    "hydra": ("{hydra.run.dir: [a, b]}", "expected none of Hydra's own keys"),
    "folder": ("{run_dir: [a, b]}", "expected settings of a run; received run_dir"),
}


@pytest.mark.parametrize("space", SPACES)
def test_a_space_is_checked_before_anything_is_written(space, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, line = SPACES[space]
    with pytest.raises(UserError) as refused:
        begin(f"search.space={text}")
    assert line in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_what_suits_only_other_values_that_are_searched_is_no_mistake(quick, tmp_path):
    assert begin("search.trials=1", "search.space={model.c3: [sparse, dense], "
                 "optimizer.learning_rate: [0.1, 0.2], optimizer.momentum: [0.0, 0.9]}",
                 "run_dir=s") == 0  # fmt: skip


def test_two_processes_that_work_on_a_study_never_have_the_same_trial(quick, tmp_path):
    begin("search.trials=1", "run_dir=s")
    options = search._read(tmp_path / "s", SearchOptions(trials=3), ["search.trials=3"]).search
    own = study.open_study(tmp_path / "s", options, "max")
    other = study.open_study(tmp_path / "s", options, "max")
    with (
        study.next_trial(own, tmp_path / "s", options) as first,
        study.next_trial(other, tmp_path / "s", options) as second,
        study.next_trial(other, tmp_path / "s", options) as third,
    ):
        assert first
        assert second
        assert [first[0].number, second[0].number] == [1, 2]
        assert third is None
    # Neither was told: both are there to go on with, with the settings that they had.
    with study.next_trial(own, tmp_path / "s", options) as again:
        assert again
        assert (again[0].number, again[1]) == (1, first[1])


def test_a_new_run_may_have_the_settings_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun = []
    monkeypatch.setattr(train, "_begin", lambda settings: begun.append(settings) or 0)

    def composed(*words):
        train.main(cli.composed("train", list(words)), list(words))
        return begun.pop()

    wide = composed("model=lenet5", "optimizer.learning_rate=0.02", "run_dir=a", "seed=4")
    Path("best.yaml").write_text(config.dump(wide))
    assert composed("config=best.yaml") == wide.model_copy(update={"run_dir": None})
    changed = composed("config=best.yaml", "seed=5", "run_dir=b")
    assert (changed.seed, changed.run_dir) == (5, "b")
    assert changed.optimizer == wide.optimizer
    Path("best.yaml").write_text("model: !!python/object:os.system {}")
    with pytest.raises(UserError, match="expected a readable run configuration"):
        composed("config=best.yaml")


RECORDS = {
    "flag": {"settings": ["-m"]},
    "run": {"settings": ["resume=/root"]},
    "hydra": {"settings": ["hydra.run.dir=/tmp/x"]},
    "key": {"more": 1},
    "space": {"search": {"space": {"a": [3, 1, "log"]}}},
}


@pytest.mark.parametrize("record", RECORDS)
def test_a_study_that_a_stranger_made_says_no_more_than_a_command_line(quick, tmp_path, record):
    begin("search.trials=1", "run_dir=s")
    path = tmp_path / "s" / search.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | RECORDS[record]))
    words = ["resume=s", "search.trials=2"]
    # Words that only a run refuses are a trial that has failed.
    with suppress(UserError):
        search.main(cli.composed("search", words), words)
    assert [folder.name for folder in (tmp_path / "s").glob("0*")] == ["0000"]


def test_links_in_a_study_lead_nowhere(quick, tmp_path):
    begin("search.trials=12", "run_dir=s")
    own = study.open_study(tmp_path / "s", SearchOptions(), "max")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s" / "0012").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="expected a folder of the study's own"):
        search._run(tmp_path / "s", own.ask(), [], "accuracy")
    (tmp_path / "s" / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="a link"):
        study_pictures.draw(own, "val accuracy", tmp_path / "s" / "figures")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("way", ["link", "pipe", "words"])
def test_a_journal_that_is_none_is_refused(way, tmp_path):
    path = tmp_path / study.JOURNAL
    {
        "link": lambda: path.symlink_to("/etc/passwd"),
        "pipe": lambda: os.mkfifo(path),
        "words": lambda: path.write_text("no json\n{}\n"),
    }[way]()
    with pytest.raises(UserError, match="expected a study"):
        study.open_study(tmp_path, SearchOptions(), "max")


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    study.open_study(tmp_path, SearchOptions(), "max").ask()
    with (tmp_path / study.JOURNAL).open("a") as file:
        file.write('{"op_code": 4, "wor')
    own = study.open_study(tmp_path, SearchOptions(), "max")
    own.tell(own.ask(), 0.5)
    again = optuna.load_study(study_name=tmp_path.name, storage=own._storage)
    assert [trial.state.name for trial in again.trials] == ["RUNNING", "COMPLETE"]


def _written(folder):
    """Bytes of epochs that all runs of the study have written."""
    return sum(path.stat().st_size for path in folder.glob("study/0*/metrics.jsonl"))


@pytest.mark.slow
def test_a_search_killed_twenty_times_has_the_trials_of_one_left_alone(tmp_path):
    words = [*MODELS["lenet5"].split(), "trainer.epochs=6", SPACE, "search.trials=12"]
    for name in ("alone", "killed"):
        (tmp_path / name).mkdir()
    run("src.search", [*words, "run_dir=study"], tmp_path / "alone")
    folder = tmp_path / "killed"
    for kill in range(20):
        process = start(
            "src.search", ["resume=study"] if kill else [*words, "run_dir=study"], folder
        )
        while not (folder / "study" / search.RECORD).exists():
            time.sleep(0.1)
        time.sleep(4 + 7 * kill % 11)
        if kill % 2:
            # As an epoch ends: it is written down, and the search has not yet heard of it.
            until = time.monotonic() + 10
            before = _written(folder)
            while _written(folder) == before and time.monotonic() < until:
                time.sleep(0.0005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    out, _ = run("src.search", ["resume=study"], folder)
    assert trials(folder / "study") == trials(tmp_path / "alone" / "study")
    best = [(tmp_path / name / "study" / "best.yaml").read_text() for name in ("alone", "killed")]
    assert best[0] == best[1]
    assert "config=study/best.yaml" in out
