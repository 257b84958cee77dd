"""Every command of the page about one's own pictures, on a folder of crops of photographs."""

import csv
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from tests.commands import ROOT, read, run
from tests.picture_folders import write_crops

PAGE = (ROOT / "docs" / "your_own_pictures.md").read_text()
COMMANDS = re.findall(r"^    python -m (src\.\w+) (.+)$", PAGE, re.MULTILINE)
FIRST, SECOND, *OTHERS = COMMANDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where `photos` is, in which the first two commands have been given."""
    folder = tmp_path_factory.mktemp("own")
    write_crops(folder / "photos")
    for module, words in (FIRST, SECOND):
        run(module, shlex.split(words), folder)
    return folder


def test_two_commands_give_a_confusion_matrix_and_names(folder):
    (results,) = folder.glob("outputs/*/*/results.json")
    found = read(results)
    assert found["data"]["classes"] == ["china", "flower", "hopper"]
    assert found["metrics"]["test"]["accuracy"] > 0.6
    with Image.open(results.parent / "figures" / "confusion_matrix-best-test.png") as picture:
        assert picture.width > 200
    with (folder / "named" / "predictions.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 55
    assert sum(row["label"] == "flower" for row in rows) > 30


@pytest.mark.parametrize("command", OTHERS, ids=[re.sub(r"\W+", " ", words) for _, words in OTHERS])
def test_every_other_command_runs(folder, command):
    module, words = command
    short = [] if module == "src.eval" else ["trainer.steps=2", "run_dir=again"]
    copy = Path(folder / re.sub(r"\W+", "_", words))
    copy.mkdir()
    for name in ("photos", "outputs"):
        (copy / name).symlink_to(folder / name)
    run(module, [*shlex.split(words), *short], copy)
