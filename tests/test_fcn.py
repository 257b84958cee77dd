"""The networks for masks: where their outputs lie, their published size and their weights."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from src import config
from src.errors import UserError
from src.models import layer_table, vgg16
from src.models.build import build
from src.models.fcn import build as build_fcn

ANY = (None, None, 3)
SMALL = {"filters": 2, "score_channels": None}
VGG = {"backbone": "vgg16", "score_channels": None}
UNPOOL = {"decoder": "unpool"}


def fcn(shape=ANY, classes=3, **options):
    return build_fcn(config.Fcn(name="fcn", **options), shape, classes)


@pytest.fixture
def tiny_vgg16(monkeypatch):
    """Leaves VGG16 its layers and takes most of its maps."""
    monkeypatch.setattr(vgg16, "STAGES", ((2, 3), (2, 4), (3, 5), (3, 6), (3, 7)))
    monkeypatch.setattr(vgg16, "FULLY_CONNECTED", 9)


def pass_on(layer):
    """Makes a convolution pass on what it gets, map by map."""
    kernel = np.zeros(layer.kernel.shape, np.float32)
    rows, columns = kernel.shape[:2]
    kernel[rows // 2, columns // 2] = np.eye(*kernel.shape[2:])
    layer.kernel.assign(kernel)


def stripes(height, width, period):
    """An upright and a lying pattern of stripes, as `[2, height, width]` of 0 and 1."""
    upright = np.arange(width) // period % 2 + np.zeros((height, 1), int)
    lying = np.arange(height)[:, None] // period % 2 + np.zeros(width, int)
    return np.stack([upright, lying])


@pytest.mark.parametrize("stride", [32, 16, 8, 4])
def test_edges_come_back_at_the_same_pixels_whatever_the_size(stride):
    """Of a network that passes its picture on, the largest logit says which stripe a pixel is in.

    Bilinear upsampling gives the nearer of two neighbouring scores more than half of the weight, so
    that a shift by one pixel would show. A picture's two channels are the two classes.
    """
    model = fcn((None, None, 2), classes=2, stride=stride, **SMALL)
    scores = {name: model.get_layer(f"score{name}") for name in (32, 16, 8, 4) if name >= stride}
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D) and layer.name.startswith("conv"):
            pass_on(layer)
    for size in range(32):
        height, width = 97 + size, 128 - size
        for seeing, score in scores.items():
            for layer in scores.values():
                layer.kernel.assign(np.zeros(layer.kernel.shape))
            pass_on(score)
            expected = stripes(height, width, seeing)
            logits = np.asarray(model(np.stack([1 - expected, expected], axis=-1)))
            np.testing.assert_array_equal(logits.argmax(axis=-1), expected)


VARIANTS = {
    "skips": {"filters": 2},
    "to stride 4": {"filters": 2, "stride": 4},
    "as published": {"stride": 16, **SMALL},
    "unpool": {"filters": 2, **UNPOOL},
    "vgg16": VGG,
    "vgg16 unpool": {"backbone": "vgg16", **UNPOOL},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_known_and_unknown_sizes_make_the_same_network(variant, tiny_vgg16):
    any_size = fcn(**VARIANTS[variant])
    for score in any_size.layers:
        if score.name.startswith("score"):
            score.set_weights(
                [np.random.default_rng(0).normal(size=w.shape) for w in score.weights]
            )
    picture = np.random.default_rng(1).random((2, 45, 70, 3), np.float32)
    known = fcn((45, 70, 3), **VARIANTS[variant])
    assert [layer.name for layer in known.layers] == [layer.name for layer in any_size.layers]
    known.set_weights(any_size.get_weights())
    logits = np.asarray(known(picture))
    assert logits.shape == (2, 45, 70, 3) == (2, *known.output_shape[1:])
    assert np.ptp(logits) > 0
    np.testing.assert_allclose(any_size(picture), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["as published", "vgg16", "unpool"])
def test_an_untrained_network_has_no_opinion(variant, tiny_vgg16):
    assert not np.any(fcn(**VARIANTS[variant])(np.ones((1, 33, 40, 3), np.float32)))


@pytest.mark.parametrize(
    ("variant", "policy"),
    [("unpool", "mixed_bfloat16"), ("vgg16", "float32")],
)
def test_a_step_changes_the_weights_and_they_are_saved_and_restored(
    variant, policy, tiny_vgg16, tmp_path
):
    generator = np.random.default_rng(0)
    pictures = generator.random((2, 33, 40, 3), np.float32)
    masks = generator.integers(0, 3, (2, 33, 40))
    own = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model, other = fcn(**VARIANTS[variant]), fcn(**VARIANTS[variant])
    finally:
        keras.config.set_dtype_policy(own)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert model.train_on_batch(pictures, masks) == pytest.approx(np.log(3), rel=1e-3)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    logits = np.asarray(model(pictures))
    assert logits.dtype == np.float32
    assert np.ptp(logits) > 0
    np.testing.assert_array_equal(other(pictures), logits)


@pytest.mark.parametrize("channels", [None, 7])
def test_scores_start_at_zero_and_all_move(channels):
    model = fcn((32, 32, 1), stride=4, filters=2, score_channels=channels)
    pictures = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
    assert not np.any(model(pictures))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures, pictures[..., 0] > 0.8, verbose=0)
    for stride in (32, 16, 8, 4):
        kernel, bias = model.get_layer(f"score{stride}").get_weights()
        assert np.abs(kernel).sum(axis=(0, 1, 2)).all()
        assert bias.all()


def test_frozen_upsampling_is_not_trained():
    model = fcn((64, 64, 1), freeze_upsampling=True, **SMALL)
    frozen = [layer for layer in model.layers if isinstance(layer, layers.Conv2DTranspose)]
    names = ["upsample32to16", "upsample16to8", "upsample8"]
    assert [layer.name for layer in frozen] == names
    assert not any(layer.trainable_variables for layer in frozen)


def test_vgg16_is_the_published_one(monkeypatch):
    # Random numbers for 134 million weights take a while.
    zeros = keras.initializers.Zeros()
    monkeypatch.setattr(
        keras.initializers.HeNormal,
        "__call__",
        lambda self, *args, **kwargs: zeros(*args, **kwargs),
    )
    model = fcn((224, 224, 3), classes=21, freeze_upsampling=True, **VGG)
    convolutions = sum(
        (3 * 3 * before + 1) * maps + (count - 1) * (3 * 3 * maps + 1) * maps
        for before, count, maps in [
            *[(3, 2, 64), (64, 2, 128), (128, 3, 256), (256, 3, 512), (512, 3, 512)]
        ]
    )
    assert convolutions == 14_714_688
    fc6, fc7 = (7 * 7 * 512 + 1) * 4096, (4096 + 1) * 4096
    assert convolutions + fc6 + fc7 == 134_260_544
    scores = (4096 + 1) * 21 + (512 + 1) * 21 + (256 + 1) * 21
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == 134_260_544 + scores
    upsampling = (4 * 4 + 4 * 4 + 16 * 16) * 21 * 21
    assert model.count_params() == trained + upsampling
    # 404 pixels at stride 32 (Long et al. 2015, table 1).
    rows = {row.name: row for row in layer_table.rows(model)}
    assert rows["fc7"].receptive_field == (404, 404)
    assert rows["fc7"].jump == (32, 32)


def classifier():
    """`keras.applications.VGG16` with the widths of `tiny_vgg16`."""
    x = inputs = keras.Input((224, 224, 3))
    for stage, (count, maps) in enumerate(vgg16.STAGES, start=1):
        for number in range(1, count + 1):
            name = f"block{stage}_conv{number}"
            x = layers.Conv2D(maps, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2, name=f"block{stage}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(9, activation="relu", name="fc1")(x)
    x = layers.Dense(9, activation="relu", name="fc2")(x)
    model = keras.Model(inputs, layers.Dense(10, name="predictions")(x))
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(0, 0.2, weight.shape) for weight in model.weights])
    return model


def write_as_published(model, path):
    """The format of the published files: groups named after the layers, and lists of the names."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{kind}_1:0" for kind in "Wb"] if layer.weights else []
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights(), strict=True):
                group[name] = array


@pytest.mark.parametrize("form", ["published", "weights.h5", "h5"])
def test_published_weights_make_the_same_maps_as_the_published_network(form, tiny_vgg16, tmp_path):
    """Where fc6 looks at all of a 224x224 picture it is fc1, and the maps are the dense layers'."""
    theirs = classifier()
    path = str(tmp_path / f"vgg16.{form}")
    if form == "published":
        write_as_published(theirs, path)
    elif form == "weights.h5":
        theirs.save_weights(path)
    else:
        theirs.save(path)
    ours = fcn(**VGG)
    assert "conv1_1 to fc7" in vgg16.load_weights(ours, path)
    picture = np.random.default_rng(1).random((1, 224, 224, 3), np.float32)
    scaled = keras.applications.vgg16.preprocess_input(picture * 255)
    expected = keras.Model(theirs.inputs, theirs.get_layer("fc2").output)(scaled)
    maps = keras.Model(ours.inputs, ours.get_layer("fc7").output)(picture)
    assert maps.shape == (1, 7, 7, 9)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(maps[:, 3, 3], expected, rtol=1e-4, atol=1e-3)


def test_a_file_without_the_dense_layers_and_a_decoder_without_them(tiny_vgg16, tmp_path):
    theirs = classifier()
    theirs.save_weights(tmp_path / "whole.weights.h5")
    bare = keras.Model(theirs.inputs, theirs.get_layer("block5_pool").output)
    bare.save_weights(tmp_path / "bare.weights.h5")
    last = theirs.get_layer("block5_conv3").get_weights()
    for name, options in (("bare", VGG), ("whole", VARIANTS["vgg16 unpool"])):
        ours = fcn(**options)
        line = vgg16.load_weights(ours, str(tmp_path / f"{name}.weights.h5"))
        assert "conv1_1 to conv5_3" in line
        for mine, other in zip(ours.get_layer("conv5_3").get_weights(), last, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_files_that_are_not_vgg16s_are_refused(tiny_vgg16, tmp_path):
    ours = fcn(**VGG)
    (tmp_path / "text.h5").write_text("weights")
    with pytest.raises(UserError, match=r"weights that Keras wrote .*; received model\.weights="):
        vgg16.load_weights(ours, str(tmp_path / "text.h5"))
    fcn(filters=2).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(UserError, match=r"expected the weights of VGG16 .* received .* layers of"):
        vgg16.load_weights(ours, str(tmp_path / "other.weights.h5"))


def test_a_download_that_fails_says_what_to_do(tiny_vgg16, monkeypatch):
    def offline(name, address, **options):
        raise Exception(f"URL fetch failure on {address}: \n no network")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(
        UserError,
        match=r"to download vgg16_weights_.*\.h5 .* no network \(.*=<path to vgg16_weights_",
    ):
        vgg16.load_weights(fcn(**VGG), "imagenet")


def test_grey_pictures_are_three_equal_channels_and_other_numbers_are_refused(tiny_vgg16):
    layer = vgg16.CaffeScaling()
    #                           255 - blue, green, red of ImageNet's mean
    np.testing.assert_allclose(
        layer(np.ones((1, 1, 1, 1))), [[[[151.061, 138.221, 131.32]]]], rtol=1e-6
    )
    assert fcn((40, 40, 1), **VGG).output_shape == (None, 40, 40, 3)
    with pytest.raises(ValueError, match="expected 1 or 3 channels"):
        fcn((40, 40, 2), **VGG)


@pytest.mark.parametrize("shape", [(40, 50, 1), (None, None, 1)])
def test_the_registered_model_is_this_one(shape):
    built = build(config.Fcn(name="fcn", filters=2), shape, 4)
    assert built.output_shape == (None, *shape[:2], 4)
