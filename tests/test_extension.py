"""A new model is three new files and no edit, and so is a new data set.

Both are laid over a copy of the project, which then trains one on the other.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image

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
from src.data.dataset import DataSet
from src.data.examples import Split
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

MODEL_YAML = """# @package _global_
defaults:
  - override /data: stripes
  - _self_
model:
  name: tiny
  init_from: null
  maps: 4
trainer:
  batch_size: 4
"""
MODEL_SECTION = '''"""The section of `model=tiny`."""

from typing import ClassVar, Literal

from src.config.model import Model, TaskName
from src.config.section import Positive


class Tiny(Model):
    """A segmenter of two convolutions.

    Attributes:
        maps: of the first of them.
    """

    task: ClassVar[TaskName] = "segmentation"
    any_size: ClassVar[bool] = True

    name: Literal["tiny"]
    maps: Positive = 4
'''
MODEL = '''"""Two convolutions, from pixels to the scores of classes."""

import keras
from keras import layers

from src.config.models.tiny import Tiny


def build(model: Tiny, input_shape: tuple[int | None, ...], classes: int) -> keras.Model:
    """Builds the network."""
    x = inputs = keras.Input(input_shape, name="image")
    x = layers.Conv2D(model.maps, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.Conv2D(classes, 1, dtype="float32", name="score")(x)
    return keras.Model(inputs, x, name="tiny")
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with six more files."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("src", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    (folder / "configs/data/stripes.yaml").write_text(YAML)
    (folder / "src/config/datasets/stripes.py").write_text(SECTION)
    (folder / "src/data/sources/stripes.py").write_text(READER)
    (folder / "configs/model/tiny.yaml").write_text(MODEL_YAML)
    (folder / "src/config/models/tiny.py").write_text(MODEL_SECTION)
    (folder / "src/models/tiny.py").write_text(MODEL)
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


def test_a_new_data_set_is_trained_on_gone_on_with_evaluated_and_described(project):
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


def test_a_new_model_is_trained_gone_on_with_evaluated_described_and_predicts(project):
    Image.new("L", (20, 12)).save(project / "picture.png")
    for module, words in (
        ("src.train", "model=tiny model.maps=3 trainer.steps=2 run_dir=tiny"),
        ("src.train", "resume=tiny trainer.steps=4"),
        ("src.eval", "run=tiny split=val"),
        ("src.predict", "run=tiny input=picture.png output=predicted"),
        (
            "src.train",
            "model=tiny model.maps=3 trainer.steps=1 model.init_from=tiny run_dir=second",
        ),
    ):
        status, out, err = run(project, module, words)
        assert status == 0, (module, out, err)
    assert read(project / "tiny/results.json")["steps"] == 4
    assert (project / "predicted/picture-overlay.png").exists()
    status, out, err = run(project, "src.describe", "model=tiny json=true")
    # 3 * 3 * 4 + 4 and 4 * 2 + 2 weights.
    assert json.loads(out)["total"]["parameters"] == 50, err
    assert "tiny" in run(project, "src.train", "--help")[1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("model=tiny data=mnist", "for model=tiny; received data=mnist"),
        ("model=tiny model.maps=0", "model.maps: expected .* received 0"),
        ("model=tiny trainer.label_smoothing=0.1", "label_smoothing=0 .* model=tiny"),
        ("model=lenet5 data=stripes", "for model=lenet5; received data=stripes"),
        ("model=fcn data=stripes data.width=0", "data.width: expected .* received 0"),
    ],
    ids=["data", "maps", "smoothing", "model", "width"],
)
def test_its_mistakes_are_told_like_those_of_the_others(project, words, line):
    status, _, err = run(project, "src.train", words)
    assert status == 2
    assert err.count("\n") == 1
    assert re.search(line, err), err
