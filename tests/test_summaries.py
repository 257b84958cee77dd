"""What TensorBoard's further panels are given, for data of any number and shape."""

import keras
import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.util.tensor_util import make_ndarray

from src.training import summaries
from src.training.features import Features


def features(n, size=(28, 28), channels=1, labels=True):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (n, *size, channels)).astype(np.uint8)
    return Features(
        rng.standard_normal((n, 3)).astype(np.float32),
        images,
        np.arange(n, dtype=np.int32) % 37 if labels else None,
    )


@pytest.mark.parametrize(
    ("n", "size", "channels", "labels"),
    [
        (1, (28, 28), 1, True),
        (100, (28, 28), 3, True),
        (5, (8, 400), 3, False),
        (2000, (1, 1), 1, True),
        (3, (500, 2), 1, True),
    ],
    ids=["one", "colour", "wide", "many", "high"],
)
def test_points_have_a_line_and_a_thumbnail_each(tmp_path, n, size, channels, labels):
    names = [f"class\t{i}\n" for i in range(37)]
    summaries.write_projector(tmp_path, "best-val", features(n, size, channels, labels), names)
    text = (tmp_path / "projector_config.pbtxt").read_text()
    (one,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert np.loadtxt(tmp_path / one.tensor_path, delimiter="\t", ndmin=2).shape == (n, 3)
    heading, *lines = (tmp_path / one.metadata_path).read_text().splitlines()
    assert len(lines) == n
    assert {line.count("\t") for line in [heading, *lines]} == {1}
    width, height = one.sprite.single_image_dim
    with Image.open(tmp_path / one.sprite.image_path) as sprite:
        assert max(sprite.size) <= 8192
        across = sprite.width // width
        assert across * width == sprite.width
        shown = np.asarray(sprite)
    y, x = (n - 1) // across * height, (n - 1) % across * width
    assert shown[y : y + height, x : x + width].any()


def test_a_thumbnail_lies_where_its_line_has_it(tmp_path):
    three = features(3, (2, 2))
    three.images[:] = np.array([10, 20, 30], np.uint8).reshape(3, 1, 1, 1)
    summaries.write_projector(tmp_path, "best-val", three, [str(i) for i in range(37)])
    with Image.open(tmp_path / "projector" / "best-val" / "sprite.png") as sprite:
        assert np.asarray(sprite)[::2, ::2, 0].tolist() == [[10, 20], [30, 0]]


def test_each_evaluation_has_points_of_its_own_and_replaces_them(tmp_path):
    for label in ("best-val", "best-test", "best-val"):
        summaries.write_projector(tmp_path, label, features(2), [str(i) for i in range(37)])
    text = (tmp_path / "projector_config.pbtxt").read_text()
    embeddings = text_format.Parse(text, ProjectorConfig()).embeddings
    assert [one.tensor_name for one in embeddings] == ["best-test", "best-val"]


def test_precision_and_recall_are_those_of_one_class_against_the_others():
    logits = np.array([[9, 0], [0, 9], [0, 9], [9, 0]], np.float32)
    first, second = summaries.pr_curves("best-val", np.array([0, 1, 0, 0]), logits, ["a", "b"])
    assert first.value[0].tag == "best-val/a/pr_curves"
    *_, precision, recall = make_ndarray(first.value[0].tensor)
    middle = len(precision) // 2
    assert (precision[middle], recall[middle]) == (1, pytest.approx(2 / 3))
    *_, precision, recall = make_ndarray(second.value[0].tensor)
    assert (precision[middle], recall[middle]) == (0.5, 1)


def test_settings_of_any_type_are_written():
    values = {"a": None, "b": [1, 2], "c": True, "d": 3, "e": "x", "f": 0.5}
    (value,) = summaries.settings(values, "run").value
    content = str(value.metadata.plugin_data.content)
    assert all(word in content for word in ("null", "[1, 2]", "run"))


def test_a_model_that_the_table_of_layers_does_not_know_is_told_by_its_parameters():
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    assert summaries.texts(model, "a: 1", ["x y"], "d")["layers"] == "20 parameters"
    known = keras.Input((8, 8, 1))
    model = keras.Model(known, keras.layers.Conv2D(2, 3, name="first")(known))
    found = summaries.texts(model, "a: 1", ["x y"], "d")
    assert "| first | Conv2D | 6x6x2 | 20 |" in found["layers"]
    assert "'x y'" in found["command"]
