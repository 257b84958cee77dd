"""A new layer on a trained network: its features, where they are kept, and what is trained."""

import keras
import numpy as np
import pytest
from PIL import Image

from src import config
from src.data.dataset import Split
from src.errors import UserError
from src.models.build import build, load_weights
from src.training import feature_store
from src.training.feature_store import featured
from src.training.model import TrainingModel
from tests.commands import run

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
    return sorted(folder.glob("*.features"))


def layer_output(network, split):
    inner = keras.Model(network.inputs, network.get_layer("features").output)
    return np.asarray(inner(split.images / np.float32(255), training=False))


def test_features_are_the_layers_and_are_read_the_second_time(network, folder, monkeypatch):
    split = pictures()
    first = featured(network, "features", split, "train")
    expected = layer_output(network, split)
    np.testing.assert_allclose(first.values, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(first.targets, split.targets)
    monkeypatch.setattr(feature_store, "_write", None)  # Nothing is computed any more.
    again = featured(network, "features", split, "train")
    np.testing.assert_array_equal(again.values, first.values)
    read, labels = again.reader()(np.array([5, 2]))
    np.testing.assert_array_equal(read, first.values[[5, 2]])
    assert labels.numpy().tolist() == [1, 0]
    np.testing.assert_array_equal(again[np.array([7])].arrays().images, split.images[[7]])


@pytest.mark.parametrize("rows", [1, 16.5, 40], ids=["in a batch", "in a row", "before its name"])
def test_what_was_interrupted_goes_on_where_it_was(rows, network, folder, monkeypatch):
    split = pictures()
    whole = np.array(featured(network, "features", split, "train").values)
    (path,) = kept(folder)
    contents = path.read_bytes()
    part = path.with_suffix(".part")
    part.write_bytes(contents[: int(rows * 4 * whole.shape[1])])
    path.unlink()
    seen = []
    monkeypatch.setattr(Split, "__getitem__", counting(seen, Split.__getitem__))
    again = featured(network, "features", split, "train")
    assert path.read_bytes() == contents
    assert not part.exists()
    np.testing.assert_array_equal(again.values, whole)
    # Batches of 16 that had been written whole are not computed again.
    assert [wanted.start for wanted in seen] == list(range(int(rows) // 16 * 16, 40, 16))


def counting(seen, take):
    def get(self, examples):
        seen.append(examples)
        return take(self, examples)

    return get


@pytest.mark.parametrize("damage", ["one bit", "cut off", "longer"])
def test_a_damaged_file_is_computed_again(damage, network, folder):
    split = pictures(20)
    whole = np.array(featured(network, "features", split, "train").values)
    (path,) = kept(folder)
    contents = path.read_bytes()
    other = {
        "one bit": bytes([contents[0] ^ 1]) + contents[1:],
        "cut off": contents[:-1],
        "longer": contents + b"\0",
    }
    path.write_bytes(other[damage])
    np.testing.assert_array_equal(featured(network, "features", split, "train").values, whole)
    assert path.read_bytes() == contents


def test_another_picture_order_weight_or_size_has_features_of_its_own(network, folder):
    split = pictures(4)
    featured(network, "features", split, "train")
    changed = split.images.copy()
    changed[3, 0, 0, 0] ^= 1
    for other in (Split(changed, split.targets), split[::-1]):
        featured(network, "features", other, "train")
    larger = build(transfer(size=96), (40, 40, 3), 2)
    larger.set_weights(network.get_weights())
    featured(larger, "features", split, "train")
    kernel = network.get_layer("conv").kernel
    kernel.assign(kernel + 1e-3)
    featured(network, "features", split, "train")
    assert len(kept(folder)) == 5


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


def test_a_run_trains_resumes_to_the_bit_evaluates_and_predicts(photographs):
    folder = photographs
    out, _ = run("src.train", f"{WORDS} trainer.epochs=4 run_dir=whole", folder)
    assert "mobilenet_v3_small has the weights of random" in out
    assert len(list((folder / "outputs" / "features").glob("*.features"))) == 3
    half = f"{WORDS} trainer.epochs=2 optimizer.schedule=constant"
    run("src.train", f"{half} run_dir=part", folder)
    run("src.train", "resume=part trainer.epochs=4 force=true", folder)
    run("src.train", f"{half} trainer.epochs=4 run_dir=straight", folder)
    for name in ("part", "straight"):
        (folder / name / "last").symlink_to(
            max((folder / name / "checkpoints").glob("step-*"), key=lambda p: int(p.name[5:]))
        )
    one, other = ((folder / name / "last" / "model.weights.h5") for name in ("part", "straight"))
    assert one.read_bytes() == other.read_bytes()
    run("src.predict", "run=straight input=photos/red", folder)
    rows = (folder / "straight" / "predictions" / "predictions.csv").read_text().splitlines()
    assert len(rows) == 41
    assert {"confusion_matrix-best-val.png", "worst_mistakes-best-test.png"} <= {
        path.name for path in (folder / "straight" / "figures").iterdir()
    }
    assert list((folder / "straight" / "tensorboard").rglob("*sprite*"))
