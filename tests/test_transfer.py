"""A new layer on a trained network: its features, where they are kept, and what is trained."""

import keras
import numpy as np
import pytest
from PIL import Image

from src import config
from src.data import labelled
from src.data.examples import Split
from src.errors import UserError
from src.models.build import build, load_weights
from src.training import feature_store
from src.training.feature_rows import Rows
from src.training.feature_store import FeatureStore, Pictures
from src.training.model import TrainingModel
from tests.commands import run
from tests.test_resume import kill_and_resume

RNG = np.random.default_rng(0)
WORDS = (
    "model=transfer model.backbone=mobilenet_v3_small model.weights=random model.size=80 "
    "data.dir=photos data.height=40 data.width=40 trainer.batch_size=8"
)


def transfer(**options):
    settings = {"name": "transfer", "backbone": "mobilenet_v3_small", "weights": "random"}
    return config.Transfer(**settings | {"size": 80, "dropout": 0.0} | options)


def pictures(count=40):
    return Split(RNG.integers(0, 256, (count, 40, 40, 3), np.uint8), np.arange(count) % 2)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return build(transfer(), (40, 40, 3), 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "FOLDER", tmp_path / "features")
    return tmp_path / "features"


def kept(folder):
    return sorted(folder.glob("*.rows"))


def of(split, known="train", variants=1, seed=0):
    return Pictures(split, "train", known, variants, seed)


def featured(network, layer, some):
    return FeatureStore(network, layer).of(some)


def layer_output(network, split):
    inner = keras.Model(network.inputs, network.get_layer("features").output)
    return np.asarray(inner(split.images / np.float32(255), training=False))


@pytest.fixture
def added(monkeypatch):
    """Digests of the pictures whose features have been computed."""
    seen, add = [], Rows.add

    def watched(self, digests, values):
        seen.extend(digests)
        add(self, digests, values)

    monkeypatch.setattr(Rows, "add", watched)
    return seen


class Unread(Split):
    """Pictures that nobody may look at."""

    def parts(self):
        raise AssertionError


def test_features_are_the_layers_and_the_second_time_no_picture_is_read(network, folder):
    split = pictures()
    first = featured(network, "features", of(split))
    expected = layer_output(network, split)
    np.testing.assert_allclose(first.values, expected[None], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(first.targets, split.targets)
    again = featured(network, "features", of(Unread(split.images, split.targets)))
    np.testing.assert_array_equal(again.values, first.values)
    read, labels = again.reader()(np.array([5, 2]))
    np.testing.assert_array_equal(read, first.values[0, [5, 2]])
    assert labels.numpy().tolist() == [1, 0]
    one = again[np.array([7])]
    np.testing.assert_array_equal(one.arrays().images, split.images[[7]])
    np.testing.assert_array_equal(one.values, first.values[:, [7]])


def test_of_added_moved_and_repeated_pictures_only_the_new_ones_are_computed(
    network, folder, added
):
    split = pictures(20)
    first = featured(network, "features", of(split))
    assert len(added) == 20
    new = pictures(1)
    images = np.concatenate([split.images[::-1], new.images, new.images])
    more = featured(network, "features", of(Split(images, np.arange(22)), "other"))
    assert len(added) == 21
    np.testing.assert_array_equal(more.values[0, :20], first.values[0, ::-1])
    np.testing.assert_array_equal(more.values[0, 20], more.values[0, 21])
    assert more.targets.tolist() == list(range(22))


def test_features_do_not_depend_on_what_they_were_computed_beside(network, folder):
    split = pictures(20)
    whole = featured(network, "features", of(split)).values
    for path in folder.iterdir():
        path.unlink()
    alone = featured(network, "features", of(split[3:4])).values
    np.testing.assert_array_equal(alone[0, 0], whole[0, 3])


@pytest.mark.parametrize(
    ("damage", "again"),
    [("one bit", 1), ("cut off", 1), ("longer", 0), ("half of them", 10), ("gone", 20)],
    ids=["one bit", "cut off", "longer", "half of them", "gone"],
)
def test_what_is_damaged_or_was_interrupted_is_computed_again(
    damage, again, network, folder, added
):
    split = pictures(20)
    whole = np.array(featured(network, "features", of(split)).values)
    (path,) = kept(folder)
    contents = path.read_bytes()
    middle = len(contents) // 2
    other = {
        "one bit": contents[:middle] + bytes([contents[middle] ^ 1]) + contents[middle + 1 :],
        "cut off": contents[:-1],
        "longer": contents + b"begun",
        "half of them": contents[:middle],
        "gone": b"",
    }
    path.write_bytes(other[damage])
    added.clear()
    for _ in range(2):
        found = featured(network, "features", of(split))
        np.testing.assert_array_equal(found.values, whole)
        assert len(added) == again


def test_a_damaged_list_of_pictures_is_made_again(network, folder):
    split = pictures(4)
    whole = featured(network, "features", of(split)).values
    (path,) = folder.glob("*.pictures")
    contents = path.read_bytes()
    for other in (contents[:-1], contents[:5] + b"x" + contents[6:], b""):
        path.write_bytes(other)
        np.testing.assert_array_equal(featured(network, "features", of(split)).values, whole)
        assert path.read_bytes() == contents


def test_another_picture_weight_or_size_has_features_of_its_own(network, folder, added):
    split = pictures(4)
    featured(network, "features", of(split))
    changed = split.images.copy()
    changed[3, 0, 0, 0] ^= 1
    featured(network, "features", of(Split(changed, split.targets), "changed"))
    assert (len(added), len(kept(folder))) == (5, 1)
    larger = build(transfer(size=96), (40, 40, 3), 2)
    larger.set_weights(network.get_weights())
    featured(larger, "features", of(split))
    kernel = network.get_layer("conv").kernel
    kernel.assign(kernel + 1e-3)
    featured(network, "features", of(split))
    assert (len(added), len(kept(folder))) == (13, 3)


def mirrored(split, most=0.5):
    vary = labelled.Variation(40, 40, "crop", True, (1.0, 1.0), most)
    return labelled.Varied(split, vary)


def test_variants_follow_from_the_picture_and_the_seed_and_take_turns(network, folder, added):
    split = pictures(6)
    found = featured(network, "features", of(mirrored(split), variants=3))
    assert len(added) == 18
    np.testing.assert_allclose(found.values[0], layer_output(network, split), rtol=1e-4, atol=1e-6)
    assert len(np.unique(found.values.reshape(18, -1), axis=0)) == 18
    # The same ones wherever a picture stands, others of another seed.
    turned = featured(network, "features", of(mirrored(split[::-1]), "turned", variants=3))
    assert len(added) == 18
    np.testing.assert_array_equal(turned.values, found.values[:, ::-1])
    featured(network, "features", of(mirrored(split), variants=3, seed=1))
    assert len(added) == 18 + 12
    read = found.training_reader(0)
    seen = []
    for epoch in range(3):
        values, labels = read(np.arange(6), np.arange(6) + 6 * epoch)
        assert labels.numpy().tolist() == [0, 1, 0, 1, 0, 1]
        seen.append(values.numpy())
    for number in range(6):
        turns = {each[number].tobytes() for each in seen}
        assert turns == {each.tobytes() for each in found.values[:, number]}
    # Evaluation has the picture as it is.
    np.testing.assert_array_equal(found.reader()(np.arange(6))[0], found.values[0])


def test_the_new_layer_on_features_is_the_whole_network_on_pictures(network):
    model = TrainingModel(network, None, features="features")
    split = pictures(6)
    images = split.images / np.float32(255)
    logits = np.asarray(model(images, training=False))
    assert np.ptp(logits) > 0
    np.testing.assert_allclose(
        model(layer_output(network, split), training=False), logits, rtol=1e-4, atol=1e-6
    )


def test_the_backbone_is_in_evaluation_and_only_the_new_layer_is_trained(network):
    """Normalisation by batch would otherwise keep statistics of the new pictures."""
    assert [weight.path for weight in network.trainable_weights] == ["logits/kernel", "logits/bias"]
    split = pictures(6)
    images = split.images / np.float32(255)
    before = [np.array(weight) for weight in network.weights]
    np.testing.assert_array_equal(network(images, training=True), network(images, training=False))
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    # Of classes in equal numbers, nothing but chance would move the bias.
    network.train_on_batch(images, np.zeros(6))
    changed = [
        weight.path
        for weight, old in zip(network.weights, before, strict=True)
        if not np.array_equal(weight, old)
    ]
    assert changed == ["logits/kernel", "logits/bias"]


def test_the_backbones_weights_come_from_a_file_and_the_new_layer_keeps_its_own(network, tmp_path):
    theirs = keras.applications.MobileNetV3Small(include_top=False, weights=None)
    theirs.save_weights(tmp_path / "a.weights.h5")
    own = np.array(network.get_layer("logits").kernel)
    line = load_weights(network, transfer(weights=str(tmp_path / "a.weights.h5")))
    assert line.startswith("mobilenet_v3_small has the weights of ")
    ours = [each for each in network.layers if each.weights][:-1]
    for layer, other in zip(ours, [each for each in theirs.layers if each.weights], strict=True):
        for mine, weight in zip(layer.weights, other.weights, strict=True):
            np.testing.assert_array_equal(mine, weight)
    np.testing.assert_array_equal(network.get_layer("logits").kernel, own)
    with pytest.raises(UserError, match="expected weights of"):
        load_weights(
            build(transfer(backbone="vgg16"), (40, 40, 3), 2),
            transfer(backbone="vgg16", weights=str(tmp_path / "a.weights.h5")),
        )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes that differ in their colour."""
    folder = tmp_path_factory.mktemp("transfer")
    generator = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(40):
            noise = generator.integers(0, 100, (40, 40, 3), np.uint8)
            noise[..., channel] += 150
            Image.fromarray(noise).save(folder / "photos" / name / f"{number}.png")
    return folder


def test_a_run_trains_evaluates_and_predicts_and_a_second_computes_nothing(photographs):
    folder = photographs
    out, _ = run("src.train", f"{WORDS} trainer.epochs=4 run_dir=whole", folder)
    assert "mobilenet_v3_small has the weights of random" in out
    (rows,) = kept(folder / "outputs" / "features")
    # The pictures, and those training pictures that one variant in two mirrors.
    record = 2 * 32 + 4 * 576
    assert 80 < rows.stat().st_size // record < 80 + 64
    written = rows.stat().st_mtime_ns
    run("src.train", f"{WORDS} trainer.epochs=1 run_dir=again", folder)
    assert rows.stat().st_mtime_ns == written
    run("src.predict", "run=whole input=photos/red", folder)
    table = (folder / "whole" / "predictions" / "predictions.csv").read_text().splitlines()
    assert len(table) == 41
    assert {"confusion_matrix-best-val.png", "worst_mistakes-best-test.png"} <= {
        path.name for path in (folder / "whole" / "figures").iterdir()
    }
    assert list((folder / "whole" / "tensorboard").rglob("*sprite*"))


@pytest.mark.slow
def test_pictures_that_are_streamed_and_killed_end_as_if_left_alone(photographs, tmp_path):
    (tmp_path / "photos").symlink_to(photographs / "photos")
    words = f"{WORDS} data.memory_budget=1 data.height=150 data.width=150 data.colour=0.2"
    kill_and_resume(f"{words} trainer.epochs=4 trainer.checkpoint_every=3", tmp_path)


def test_a_download_that_fails_leaves_no_folder(photographs):
    words = WORDS.replace("random", "imagenet")
    environment = "src.train", f"{words} run_dir=none"
    _, err = run(*environment, photographs, status=2)
    assert "to download weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5" in err
    assert not (photographs / "none").exists()
