"""The comparison of runs: who is compared with whom, what is counted, whose files are read."""

import json
import os
import re
import subprocess
import sys

import hydra
import pytest
from omegaconf import OmegaConf
from PIL import Image

from src import compare, comparison, config
from src.overrides import CONFIGS
from tests.commands import ROOT, run


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes a run as a user's words describe it, with the scores that it is said to have."""
    monkeypatch.chdir(tmp_path)

    def make(name, words="model=lenet5", accuracy=0.5, val=(0.1, 0.4), test=True, digest="a" * 64):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            values = OmegaConf.to_container(hydra.compose("train", words.split()))
        del values["resume"], values["force"], values["config"]
        (folder / "config.yaml").write_text(config.dump(config.parse(config.Train, values)))
        data = {"name": "mnist", "source": "here", "digest": digest, "kind": "labels"}
        data |= {"image_shape": [28, 28, 1], "classes": ["0", "1"], "digests": {}}
        metrics = {"test": {"loss": 9.0, "accuracy": accuracy}} if test else {}
        results = {"model": "lenet5", "status": "finished" if test else "running"}
        (folder / "results.json").write_text(
            json.dumps({**results, "data": data, "metrics": metrics})
        )
        rows = (
            {"epoch": i, "step": i, "loss": 1.0, "val_loss": 2.0, "val_accuracy": score}
            for i, score in enumerate(val, start=1)
        )
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return make


def compared(capsys, *words):
    """The lines that a comparison prints, each as its cells."""
    assert compare.main([str(word) for word in words]) == 0
    return [line.split("  ") for line in capsys.readouterr().out.splitlines()]


def test_runs_that_differ_by_their_seed_are_one_line_with_mean_and_deviation(made, capsys):
    for seed, accuracy in enumerate((0.90, 0.92, 0.94)):
        made(f"m/{seed}", f"model=lenet5 seed={seed}", accuracy)
    made("m/3", "model=lenet5 trainer.batch_size=7", 0.5)
    rows = [[cell.strip() for cell in line if cell] for line in compared(capsys, "m")]
    assert rows[0][:4] == ["batch_size", "runs", "val accuracy", "test accuracy"]
    assert sorted(row[:4] for row in rows[1:3]) == [
        ["100", "3", "0.4 ± 0", "0.920 ± 0.020"],
        ["7", "1", "0.4", "0.5"],
    ]


def test_only_the_settings_that_differ_are_told(made, capsys):
    made("a", "model=lenet5")
    made("b", "model=lenet_mnist trainer.epochs=20")
    heading = compared(capsys, "a", "b")[0]
    assert {"model", "epochs"} <= set(heading)
    assert not {"momentum", "seed", "run_dir", "classes"} & set(heading)


def test_the_best_on_validation_comes_first_as_its_metric_has_it(made, capsys):
    for name, val in (("a", 0.3), ("b", 0.9), ("c", 0.6)):
        made(
            f"up/{name}",
            f"model=lenet5 data=mnist_5k trainer.batch_size={int(val * 10)}",
            val=[val],
        )
    assert [line[0] for line in compared(capsys, "up")[1:4]] == ["9", "6", "3"]
    for name, mse in (("a", 0.3), ("b", 0.9), ("c", 0.6)):
        folder = made(f"down/{name}", f"model=autoencoder trainer.batch_size={int(mse * 10)}")
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "epoch": 1, "val_mse": mse}))
    assert [line[0] for line in compared(capsys, "down")[1:4]] == ["3", "6", "9"]


def test_runs_of_two_tasks_have_a_table_each_with_its_name(made, capsys):
    made("a", "model=lenet5")
    made("b", "model=autoencoder")
    lines = [line[0] for line in compared(capsys, "a", "b")]
    assert (lines[0], lines[1], lines[4], lines[5]) == (
        *("classification", "runs"),
        *("reconstruction", "runs"),
    )


def test_equal_settings_that_found_other_data_are_told_apart(made):
    two = [comparison.read(made("a")), comparison.read(made("b", digest="b" * 64))]
    assert [group.settings for group in comparison.groups(two)] == [
        {"data.digest": "a" * 8},
        {"data.digest": "b" * 8},
    ]


def test_a_run_that_still_trains_is_scored_by_its_best_epoch_and_named(made, capsys):
    made("a", val=(0.2, 0.8, 0.5), test=False)
    lines = compared(capsys, "a")
    assert [cell.strip() for cell in lines[1] if cell] == ["1", "0.8", "2"]
    assert ["a is running; its val is that of its best epoch"] in lines


def test_runs_are_found_below_a_folder_once_and_in_the_order_of_their_numbers(made, tmp_path):
    for job in (10, 9, 2):
        made(f"multi/{job}")
    made("multi/9/predictions/of-another")
    found = comparison.find(["multi", str(tmp_path / "multi" / "9"), "./multi/2"])
    assert [folder.name for folder in found] == ["2", "9", "10"]


def test_the_picture_lies_in_the_multirun_s_folder_or_where_it_is_asked_for(made, capsys, tmp_path):
    made("multi/0")
    for seed in (1, 2):
        made(f"multi/{seed}", f"model=lenet5 seed={seed}")
    compared(capsys, "multi")
    compared(capsys, "multi/0", "multi/1")
    compared(capsys, "multi/0", "output=new/own.png")
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert written == ["multi/comparison.png", "new/own.png", "outputs/comparison.png"]
    with Image.open("multi/comparison.png") as picture:
        assert picture.width > 600


@pytest.mark.parametrize("many", [1, 21, 37])
def test_any_number_of_runs_makes_a_picture(made, capsys, many):
    for i in range(many):
        made(f"m/{i}", f"model=lenet5 trainer.batch_size={i + 1}", val=[0.1 * (i % 10)] * (i % 3))
    compared(capsys, "m")
    with Image.open("m/comparison.png") as picture:
        assert picture.height < 800


MISTAKES = [
    ([], "expected folders of runs, .* received 0 folders"),
    (["nowhere"], "expected a folder; received nowhere"),
    (["--all"], "expected folders of runs and output=; received --all"),
    (["a", "trainer.epochs=3"], "expected a folder; received trainer.epochs=3"),
    (["a", "output=b.jpg"], "expected output= as a PNG file; received output=b.jpg"),
    (["a", "output=a/config.yaml/b.png"], "expected to write to"),
    (["x" * 5000], "expected a folder; received x{100}"),
]


WAYS = ["nothing", "missing", "flag", "key", "ending", "unwritable", "long"]


@pytest.mark.parametrize(("words", "line"), MISTAKES, ids=WAYS)
def test_a_mistake_is_answered_in_one_line_without_tensorflow(made, tmp_path, words, line):
    made("a")
    _, err = run("src.compare", words, tmp_path, status=2)
    assert len(err) < 500
    assert err.count("\n") == 1
    assert re.search(line, err), err


def damage_link(folder):
    (folder / "metrics.jsonl").unlink()
    (folder / "metrics.jsonl").symlink_to("/etc/passwd")


def damage_pipe(folder):
    (folder / "results.json").unlink()
    os.mkfifo(folder / "results.json")


def damage_folder(folder):
    (folder / "metrics.jsonl").unlink()
    (folder / "metrics.jsonl").mkdir()


DAMAGES = {
    "link": damage_link,
    "pipe": damage_pipe,
    "list": lambda folder: (folder / "results.json").write_text("[]"),
    "names": lambda folder: (folder / "results.json").write_text(
        '{"metrics": {"val": {"a": "b"}}}'
    ),
    "config": lambda folder: (folder / "config.yaml").write_text("a: &a [1]\nb: *a"),
    "folder": damage_folder,
    "huge": lambda folder: os.truncate(folder / "metrics.jsonl", 1 << 26),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_is_damaged_or_forged_is_refused_in_one_line(made, damage):
    folder = made("a")
    DAMAGES[damage](folder)
    with pytest.raises(ValueError, match="expected") as refused:
        compare.main(["a"])
    assert "\n" not in str(refused.value)
    assert not (folder / "comparison.png").exists()


def test_what_a_stranger_wrote_does_not_move_the_cursor(made, capsys):
    folder = made("a", "model=lenet5 data.dir=/x")
    made("b")
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("dir: /x", 'dir: "/\\e[2J\\nx"'))
    row = {"step": 1, "epoch": 10**300, "val_accuracy": 1e300, "val_\x1b[2J": 1, "val_loss": -1e308}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"step": 3}))
    compare.main(["a", "b"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 5


def test_it_needs_no_tensorflow(made, tmp_path):
    made("a")
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('imported')")
    (tmp_path / "keras.py").write_text("raise SystemExit('imported')")
    assert "curves:" in run("src.compare", ["a"], tmp_path)[0]


def test_whoever_reads_only_the_first_line_hears_no_complaint(made, tmp_path):
    made("a")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "src.compare", "a"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "outputs" / "comparison.png").exists()
