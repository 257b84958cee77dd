"""Predictions are written as they come, under names that there can be, and never in vain."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from src import config, prediction
from src.data.images import find
from src.errors import UserError
from src.predict import check_output
from tests.commands import MODELS, run, start

PICTURE = np.arange(28 * 28, dtype=np.uint16).reshape(28, 28).astype(np.uint8)


@pytest.fixture(scope="module", params=["lenet5", "fcn"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    words = f"{MODELS[request.param]} trainer.steps=1 trainer.pictures=1 run_dir={folder}"
    run("src.train", words, folder.parent)
    return request.param, folder


def picture(folder, name):
    """Saves a picture under any name, bytes included."""
    folder.mkdir(exist_ok=True)
    plain = folder / "plain.tmp"
    Image.fromarray(PICTURE).save(plain, "PNG")
    os.rename(plain, os.path.join(os.fsencode(folder), os.fsencode(name)))


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folders_pictures_come_by_name_and_nothing_else(tmp_path):
    for name in ("b 2.JPG", "a.png", "é.jpeg", "B.png", "c.webp", "d.gif", "e.bmp"):
        picture(tmp_path, name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.png").write_text("what a Mac leaves behind")
    names = [path.name for path in find(str(tmp_path))]
    assert names == ["B.png", "a.png", "b 2.JPG", "c.webp", "d.gif", "e.bmp", "é.jpeg"]


WORDS = ["nowhere", "x" * 300, "/" + "y/" * 3000, "a\0b", "empty"]


@pytest.mark.parametrize("where", WORDS, ids=["absent", "long", "longer", "zero", "empty"])
def test_what_holds_no_picture_is_told_in_one_line(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"expected a picture or a folder .*; received input=") as e:
        find(where)
    assert len(str(e.value)) < 400


def unwritable(folder):
    folder.write_text("a file")


def below_a_file(folder):
    (folder.parent / "out").write_text("a file")
    return folder / "deeper"


def a_link(folder):
    (folder.parent / "thesis").mkdir()
    folder.symlink_to(folder.parent / "thesis")


OUTPUTS = [
    (unwritable, "new or empty folder; received .*out is no folder"),
    (below_a_file, "out is no folder"),
    (a_link, "a link, which may lead anywhere"),
]


@pytest.mark.parametrize(("make", "line"), OUTPUTS, ids=["file", "below a file", "link"])
def test_an_output_that_cannot_be_is_told_before_anything_else(tmp_path, make, line):
    picture(tmp_path / "in", "a.png")
    folder = make(tmp_path / "out") or tmp_path / "out"
    with pytest.raises(UserError, match=line):
        check_output(folder, str(tmp_path / "in"), find(str(tmp_path / "in")), (".png",), False)


def test_predictions_whose_names_would_be_too_long_are_refused(tmp_path):
    picture(tmp_path, "\N{CJK UNIFIED IDEOGRAPH-6C34}" * 82 + ".png")
    words = tmp_path / "out", str(tmp_path), find(str(tmp_path))
    check_output(*words, (".png",), False)
    with pytest.raises(UserError, match=r"at most 255 bytes for predictions; received 258 "):
        check_output(*words, (".png", "-overlay.png"), False)


def test_names_that_are_no_text_or_long_are_predicted_and_told_escaped(trained, tmp_path):
    name, folder = trained
    picture(tmp_path / "in", b"caf\xe9.png")
    picture(tmp_path / "in", "a\nb.png")
    picture(tmp_path / "in", "\N{CJK UNIFIED IDEOGRAPH-6C34}" * 78 + ".png")
    for number, more in enumerate(({}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"})):
        words = f"run={folder} input=in output=out{number}"
        process = subprocess.run(
            [sys.executable, "-m", "src.predict", *words.split()],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.getcwd(), **more},
            capture_output=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        assert rb"caf\xe9.png" in process.stdout
        assert rb"a\nb.png" in process.stdout
        out = tmp_path / f"out{number}"
        if name == "lenet5":
            names = {row["file"] for row in rows(out / "predictions.csv")}
            assert {r"caf\xe9.png", r"a\nb.png"} < names
            assert len(names) == 3
        else:
            assert len(list(out.iterdir())) == 6


def test_a_reader_who_goes_away_does_not_stop_the_predictions(trained, tmp_path):
    name, folder = trained
    for number in range(30):
        picture(tmp_path / "in", f"{number:02}.png")
    process = start("src.predict", f"run={folder} input=in output=out", tmp_path)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""
    if name == "lenet5":
        assert len(rows(tmp_path / "out" / "predictions.csv")) == 30
    else:
        assert len(list((tmp_path / "out").iterdir())) == 60


def test_what_was_predicted_before_a_kill_stays(trained, tmp_path):
    name, folder = trained
    for number in range(200):
        picture(tmp_path / "in", f"{number:03}.png")
    process = start("src.predict", f"run={folder} input=in output=out", tmp_path)
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    if name == "lenet5":
        assert len(rows(tmp_path / "out" / "predictions.csv")) >= 5
    else:
        assert len(list((tmp_path / "out").iterdir())) >= 10


def test_a_full_disk_is_told_in_one_line_and_loses_nothing(trained, tmp_path):
    _, folder = trained
    for number in range(3):
        picture(tmp_path / "in", f"{number:03}.png")

    def small():
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))

    words = f"run={folder} input=in output=out"
    _, err = run("src.predict", words, tmp_path, status=2, preexec_fn=small)
    assert re.fullmatch(
        r"error: expected to write to out; received [^\n]+ were predicted [^\n]+\n", err
    )


def test_pictures_that_are_damaged_are_told_before_any_is_predicted(trained, tmp_path):
    _, folder = trained
    picture(tmp_path / "in", "a.png")
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:-30])
    os.mkfifo(tmp_path / "in" / "c.png")
    for line in ("b.png: expected a whole picture", "c.png: expected a regular file"):
        _, err = run("src.predict", f"run={folder} input=in output=out", tmp_path, status=2)
        assert line in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out").exists()
        (tmp_path / "in" / "b.png").unlink(missing_ok=True)
    shutil.rmtree(tmp_path / "in")


def test_pictures_of_one_size_are_predicted_together_in_their_order(tmp_path, monkeypatch):
    batches = []

    class Mean:
        def predict_on_batch(self, pixels):
            batches.append(pixels.shape)
            return pixels.mean(axis=(1, 2, 3))[:, None]

    predictor = object.__new__(prediction.Predictor)
    predictor.facts = prediction.Facts((None, None, 1), ["a"], None)
    predictor.network = config.Fcn(name="fcn")
    predictor.evaluated, predictor.max_megapixels = Mean(), 1
    found = []
    for number, width in enumerate([8] * 40 + [9, 8]):
        found.append(tmp_path / f"{number:02}.png")
        Image.fromarray(np.full((5, width), number, np.uint8)).save(found[-1])
    made = [(path, float(output[0])) for path, _, output in predictor._outputs(found, False)]
    assert batches == [(32, 5, 8, 1), (8, 5, 8, 1), (1, 5, 9, 1), (1, 5, 8, 1)]
    assert made == [(path, pytest.approx(n / 255)) for n, path in enumerate(found)]
    # Of large ones a batch holds fewer, as they take memory.
    del batches[:]
    monkeypatch.setattr(prediction, "_PIXELS", 100)
    list(predictor._outputs(found[:4], False))
    assert batches == [(2, 5, 8, 1), (2, 5, 8, 1)]
