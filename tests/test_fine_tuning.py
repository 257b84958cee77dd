"""The last blocks of a trained network, trained with the new layer once that has been trained."""

import itertools
import signal
import time

import keras
import numpy as np
import pytest

from src import config
from src.config.backbones import BACKBONES
from src.config.model import FineTuning
from src.config.training import Trainer
from src.errors import UserError
from src.models import pretrained
from src.models.build import build
from src.training import optimizers
from src.training.model import TrainingModel
from src.training.plan import Plan
from tests.commands import read, rows, run, start
from tests.test_resume import assert_equal, stop_after
from tests.test_transfer import WORDS, photographs, transfer

IMAGES = np.random.default_rng(0).random((6, 40, 40, 3), np.float32)
LABELS = np.arange(6) % 2
# Seven steps an epoch: two epochs of the layer alone, then two of a block with it.
TUNED = f"{WORDS} model.fine_tune=1 model.fine_tune_after=2 model.fine_tune_rate=1e-3"

__all__ = ["photographs"]  # A fixture.


def tuned(**options):
    keras.utils.set_random_seed(0)
    network = build(transfer(fine_tune=1, **options), (40, 40, 3), 2)
    model = TrainingModel(network, 0.9, features="features")
    compile_(model)
    return model


def compile_(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Random weights make features and gradients next to nothing, which this optimizer scales up.
    model.compile(keras.optimizers.Adam(0.01, epsilon=1e-30), loss)


def changed(model, inputs):
    """Names of the layers whose weights a step of training moves."""
    before = model.get_weights()
    model.train_on_batch(inputs, LABELS)
    pairs = zip(model.weights, before, strict=True)
    return {w.path.partition("/")[0] for w, old in pairs if not np.array_equal(w, old)}


def test_keras_runs_batch_normalisation_as_in_evaluation_only_where_it_is_frozen():
    """What the new layer's features and the blocks' freezing rest on."""
    base = keras.applications.MobileNetV3Small((80, 80, 3), include_top=False, weights=None)
    pictures = np.random.default_rng(1).random((4, 80, 80, 3), np.float32) * 255
    still = np.asarray(base(pictures, training=False))
    base.trainable = False
    np.testing.assert_array_equal(base(pictures, training=True), still)
    base.trainable = True
    assert np.abs(base(pictures, training=True) - still).max() > 0.1


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_networks_blocks_are_as_many_as_it_is_said_to_have(backbone):
    network = pretrained.build(backbone, (96, 96, 3))
    every = pretrained.last_blocks(network, backbone, BACKBONES[backbone].blocks)
    assert every == network.layers
    weighted = [
        [layer for layer in pretrained.last_blocks(network, backbone, count) if layer.weights]
        for count in range(1, BACKBONES[backbone].blocks + 1)
    ]
    counts = [len(some) for some in weighted]
    assert all(more > fewer > 0 for fewer, more in itertools.pairwise(counts))


@pytest.mark.parametrize(
    ("backbone", "layers"),
    [
        ("vgg16", "block5_conv1 block5_conv2 block5_conv3"),
        # Nine convolutions of the eleventh mixture, each normalised.
        ("inception_v3", " ".join(f"conv2d_{n} batch_normalization_{n}" for n in range(85, 94))),
        (
            "resnet50",
            " ".join(f"conv5_block3_{n}_{kind}" for n in "123" for kind in ("conv", "bn")),
        ),
    ],
    ids=["vgg16", "inception_v3", "resnet50"],
)
def test_the_last_block(backbone, layers):
    network = pretrained.build(backbone, (96, 96, 3))
    last = pretrained.last_blocks(network, backbone, 1)
    assert {layer.name for layer in last if layer.weights} == set(layers.split())


def test_the_blocks_are_trained_on_pictures_and_normalisation_stays():
    model = tuned()
    blocks = pretrained.last_blocks(model.network(), "mobilenet_v3_small", 1)
    expected = {
        layer.name
        for layer in blocks
        if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)
    }
    assert "expanded_conv_10_expand" in expected
    assert changed(model, IMAGES) == expected
    assert "expanded_conv_9_expand" not in expected
    still = np.asarray(model(IMAGES, training=False))
    np.testing.assert_array_equal(model(IMAGES, training=True), still)


def test_a_backbone_that_drops_in_training_drops_nothing():
    model = tuned(backbone="efficientnet_v2b0")
    still = np.asarray(model(IMAGES, training=False))
    np.testing.assert_array_equal(model(IMAGES, training=True), still)
    assert np.any(model.network()(IMAGES, training=True) != still)


def test_frozen_the_layer_alone_is_trained_and_the_averages_are_those_of_all():
    model = tuned()
    averaged = len(model.averages.variables)
    assert averaged == len(model.trainable_weights) > 2
    model.freeze(True)
    compile_(model)
    features = np.random.default_rng(2).random((6, 576), np.float32)
    assert changed(model, features) == {"logits"}
    with model.averaged():
        pass
    model.freeze(False)
    assert len(model.trainable_weights) == averaged


def test_a_schedule_begins_anew_at_the_turn():
    def rates(schedule, steps):
        of = optimizers.Schedule(1.0, schedule, 30, 5, 0.5, warmup_steps=4, first_step=10)
        return [float(of(step)) for step in steps]

    # The warm-up, then to zero over what is left of the steps.
    assert rates("cosine", [10, 11, 13, 14, 22, 30]) == pytest.approx([0.25, 0.5, 1, 1, 0.5, 0])
    assert rates("staircase", [14, 15, 19, 20]) == [1, 0.5, 0.5, 0.25]


def test_adams_second_beginning_is_like_its_first():
    """Its moments begin at zero, and are to be corrected for it, at whatever step that is."""
    settings = config.Optimizer(name="adam", learning_rate=0.1)
    gradients = [np.array([3.0], np.float32), np.array([-1.0], np.float32)]
    ends = []
    for begin in (0, 700):
        weight = keras.Variable([2.0])
        optimizer = optimizers.build(settings, 1000, 10, begin)
        for gradient in gradients:
            optimizer.apply([gradient], [weight])
        assert int(optimizer.iterations) == begin + 2
        ends.append(float(weight[0]))
    # A first step is of the learning rate; the second's moments are .17 of .19, .009991 of .001999.
    expected = 1.9 - 0.1 * (0.17 / 0.19) / (0.009991 / 0.001999) ** 0.5
    np.testing.assert_allclose(ends, [expected, expected], rtol=1e-5)


def test_the_plan_turns_between_two_epochs():
    trainer = Trainer(epochs=5, batch_size=10)
    plan = Plan.of(trainer, 79, FineTuning(after=3, learning_rate=1e-5))
    assert plan.fine_tuning == 21
    assert list(plan.fits()) == [(0, 21), (21, 35)]
    assert list(plan.fits(4)) == [(4, 7), (7, 21), (21, 35)]
    assert list(plan.fits(21)) == [(21, 35)]
    assert [plan.tunes(step) for step in (20, 21)] == [False, True]
    with pytest.raises(UserError, match=r"beyond the 21 of .*received trainer\.steps=21"):
        Plan.of(Trainer(steps=21, batch_size=10), 79, FineTuning(3, 1e-5))


def test_a_run_killed_in_either_part_ends_as_if_left_alone_and_evaluates(photographs):
    folder = photographs
    words = f"{TUNED} trainer.epochs=4 trainer.checkpoint_every=3 trainer.ema=0.9"
    words += " trainer.precision=float32 model.dropout=0.2"
    out, _ = run("src.train", f"{words} run_dir=left", folder)
    assert "fine-tuning from epoch 3 on" in out
    logged = rows(folder / "left")
    # Each part ends with a rate of zero.
    assert [row["learning_rate"] == 0 for row in logged] == [False, True, False, True]
    # Of the epoch's 56 pictures, and of none that was counted before the turn.
    right = [row["accuracy"] * 56 for row in logged]
    np.testing.assert_allclose(right, np.round(right), atol=1e-3)
    stopped = folder / "stopped"
    process = start("src.train", f"{words} run_dir=stopped", folder)
    assert stop_after(process, stopped, 0, signal.SIGKILL) in (-9, 0)
    process = start("src.train", "resume=stopped", folder)
    while process.poll() is None and not (stopped / "checkpoints" / "step-000000018").exists():
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=120)
    assert process.returncode == -9
    run("src.train", "resume=stopped", folder)
    assert_equal(folder / "left", stopped)
    before = read(stopped / "results.json")["metrics"]["test"]
    run("src.eval", "run=stopped", folder)
    assert read(stopped / "results.json")["metrics"]["test"] == before
    run("src.predict", "run=stopped input=photos/red", folder)
    assert len((stopped / "predictions" / "predictions.csv").read_text().splitlines()) == 41
