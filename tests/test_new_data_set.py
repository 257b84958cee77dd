"""A new data set is three new files and no edit: here they are laid over a copy of the project."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.commands import ROOT, read

YAML = "name: stripes\nwidth: 24\n"
SECTION = '''"""The section of `data=stripes`."""

from typing import ClassVar, Literal

from src.config.data import Data
from src.config.section import Positive, Shape


class Stripes(Data):
    """Bright stripes on black; the mask says where they are.

    Attributes:
        width: of the pictures in pixels.
    """

    kind: ClassVar[Literal["labels", "masks"]] = "masks"
    classes: ClassVar[int] = 2
    name: Literal["stripes"]
    width: Positive = 24

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of every image."""
        return (16, self.width, 1)
'''
READER = '''"""Stripes, which need no file."""

import numpy as np

from src.config.datasets.stripes import Stripes
from src.data.dataset import DataSet, Split
from src.data.splits import digests


def load(data: Stripes) -> DataSet:
    """Draws the stripes."""
    starts = np.arange(8)[:, None, None]
    masks = ((np.arange(data.width) + starts) // 4 % 2).astype(np.uint8)
    masks = np.repeat(masks, 16, axis=1)
    split = Split(200 * masks[..., None], masks)
    splits = {"train": split, "val": split[:2], "test": split[2:5]}
    return DataSet(data.name, "drawn", digests(splits), ("dark", "bright"), "masks", splits)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with three more files."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("src", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    (folder / "configs/data/stripes.yaml").write_text(YAML)
    (folder / "src/config/datasets/stripes.py").write_text(SECTION)
    (folder / "src/data/sources/stripes.py").write_text(READER)
    return folder


def run(project, module, words):
    ended = subprocess.run(
        [sys.executable, "-m", module, *words.split()],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        text=True,
        capture_output=True,
        timeout=300,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_it_is_trained_gone_on_with_evaluated_and_described(project):
    words = "model=fcn model.filters=2 data=stripes data.width=28 trainer.batch_size=4"
    for module, more in (
        ("src.train", f"{words} trainer.steps=2 run_dir=run"),
        ("src.train", "resume=run trainer.steps=4"),
        ("src.eval", "run=run split=val"),
        ("src.describe", "model=fcn data=stripes"),
    ):
        status, out, err = run(project, module, more)
        assert status == 0, (module, out, err)
    found = read(project / "run/results.json")
    assert found["steps"] == 4
    assert found["data"]["source"] == "drawn"
    assert found["data"]["image_shape"] == [16, 28, 1]
    assert set(found["evaluations"]["best-test"]["class_iou"]) == {"dark", "bright"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("model=lenet5 data=stripes", "for model=lenet5; received data=stripes"),
        ("model=fcn data=stripes data.width=0", "data.width: expected .* received 0"),
    ],
    ids=["model", "width"],
)
def test_its_mistakes_are_told_like_those_of_the_others(project, words, line):
    status, _, err = run(project, "src.train", words)
    assert status == 2
    assert err.count("\n") == 1
    assert re.search(line, err), err
