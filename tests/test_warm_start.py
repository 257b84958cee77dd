"""A run that begins with an earlier one's weights: FCN-32s before FCN-16s, as the paper trains."""

import shutil

import keras
import numpy as np
import pytest

from src import config
from src.models.build import build
from src.training.checkpoints import Checkpoints
from src.training.model import TrainingModel
from src.training.warm_start import copy_layers
from tests.commands import PREPARED, SCENES, read, run

TINY = f"model=fcn model.filters=2 data=scenes {SCENES} trainer.batch_size=10 trainer.pictures=1"


def coarse_and_finer(**options):
    settings = {"name": "fcn", "filters": 2, **options}
    return [build(config.Fcn(stride=stride, **settings), (48, 56, 1), 3) for stride in (32, 16)]


def outputs(model, layer, picture):
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output)(picture))


def test_what_two_strides_share_is_copied_and_the_rest_stays():
    coarse, finer = coarse_and_finer(score_channels=None)
    generator = np.random.default_rng(0)
    coarse.set_weights([np.abs(generator.normal(size=w.shape)) for w in coarse.get_weights()])
    copied, left = copy_layers(coarse, finer)
    assert left == ["upsample32to16", "score16", "upsample16"]
    assert set(copied) | {"upsample32"} == {layer.name for layer in coarse.layers if layer.weights}
    picture = generator.random((2, 48, 56, 1), np.float32)
    scores = outputs(coarse, "score32", picture)
    assert np.ptp(scores) > 0
    np.testing.assert_array_equal(outputs(finer, "score32", picture), scores)
    # The new scores are zero: what is fused is the old ones, upsampled.
    upsampled = outputs(finer, "upsample32to16_crop", picture)
    np.testing.assert_array_equal(outputs(finer, "fuse16", picture), upsampled)


def test_layers_of_other_shapes_are_left():
    coarse, _ = coarse_and_finer()
    other = build(config.Fcn(name="fcn", filters=2, stride=32), (48, 56, 1), 5)
    before = other.get_layer("upsample32").get_weights()[0]
    _, left = copy_layers(coarse, other)
    assert left == ["upsample32"]  # which has the classes; the scores have 48 maps of their own
    np.testing.assert_array_equal(other.get_layer("upsample32").get_weights()[0], before)


def restored(folder):
    """A run's best model, with the weights that an evaluation would use."""
    settings = config.load(folder / "config.yaml")
    model = build(settings.model, settings.data.image_shape, 11)
    model = TrainingModel(model, settings.trainer.ema)
    Checkpoints(folder / "checkpoints").named("best").restore(model)
    return model


@pytest.mark.skipif(not PREPARED.is_dir(), reason=f"scenes need MNIST, not in {PREPARED}")
def test_a_run_begins_with_another_and_then_needs_it_no_more(tmp_path):
    run("src.train", f"{TINY} model.stride=32 trainer.steps=1 trainer.ema=0.9 run_dir=a", tmp_path)
    # Steps too small to move a weight.
    words = f"{TINY} model.stride=16 model.init_from=a optimizer.learning_rate=1e-30"
    out, _ = run("src.train", f"{words} trainer.steps=1 run_dir=b", tmp_path)
    (line,) = [line for line in out.splitlines() if "begin as in" in line]
    assert line.endswith(f"as in {tmp_path / 'a'}, not of upsample32to16, score16, upsample16")
    assert config.load(tmp_path / "b" / "config.yaml").model.init_from == str(tmp_path / "a")
    coarse, finer = restored(tmp_path / "a"), restored(tmp_path / "b")
    with coarse.averaged():
        for name in ("conv1_1", "conv5_1", "score32"):
            for theirs, ours in zip(
                coarse.get_layer(name).get_weights(),
                finer.get_layer(name).get_weights(),
                strict=True,
            ):
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-20)
    again = "resume=b model=fcn model.filters=2 model.stride=16"
    _, err = run("src.train", f"{again} model.init_from=c", tmp_path, status=2)
    assert f"model.init_from={tmp_path / 'c'} (was {tmp_path / 'a'})" in err
    other = "model=fcn model.backbone=vgg16 model.init_from=a run_dir=c"
    _, err = run("src.train", other, tmp_path, status=2)
    assert "to be a trained run of model=fcn with model.backbone=vgg16; received" in err
    shutil.rmtree(tmp_path / "a")
    out, _ = run("src.train", "resume=b trainer.steps=2", tmp_path)
    assert "begin as in" not in out
    assert read(tmp_path / "b" / "results.json")["steps"] == 2
