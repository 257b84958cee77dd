"""DeconvNet against automatic differentiation, numbers worked out by hand, and differences."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from src import config
from src.errors import UserError
from src.models.build import build
from src.models.deconvnet import deconvnet

METHODS = ("deconvnet", "saliency", "guided")
LENET_MNIST = config.LeNetMnist(name="lenet_mnist", filters=4)
SMALL: dict[str, Any] = {"name": "fcn", "filters": 2, "convolutions": [1, 1, 1, 1, 1]}
FCN = config.Fcn(**SMALL)
UNPOOLED = config.Fcn(**SMALL, decoder="unpool")


@pytest.fixture
def random():
    keras.utils.set_random_seed(0)
    return np.random.default_rng(0)


def disturbed(model, random):
    """The model with weights that are neither zero nor one, and variances that are positive."""
    for weight in model.weights:
        noise = random.normal(0, 0.1, weight.shape)
        weight.assign(np.abs(weight + noise) + 0.1 if "variance" in weight.path else weight + noise)
    return model


def with_rule(model, method):
    """The model whose rectifiers have the rule of a method as their gradient."""

    @tf.custom_gradient
    def rectified(z):
        def gradient(g):
            passed = g if method == "saliency" else tf.nn.relu(g)
            return passed if method == "deconvnet" else tf.where(z > 0, passed, 0)

        return tf.nn.relu(z), gradient

    def copied(layer):
        copy = type(layer).from_config(layer.get_config())
        if getattr(copy, "activation", None) is keras.activations.relu:
            copy.activation = rectified
        return copy

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def differentiated(model, layer, picture, seed):
    """The gradient of a layer's output by the picture, for what arrives there."""
    output = keras.tree.flatten(model.get_layer(layer).output)[0]
    picture = tf.constant(picture)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        value = keras.Model(model.inputs, output)(picture)
    return tape.gradient(value, picture, seed, unconnected_gradients="zero").numpy()


def projected(model, layer, picture, method="saliency"):
    """A random seed, and its projection."""
    output = keras.tree.flatten(model.get_layer(layer).output)[0]
    shape = keras.Model(model.inputs, output)(picture).shape
    seed = np.random.default_rng(1).normal(size=shape).astype("float32")
    return seed, deconvnet(model, layer, method)([picture, seed]).numpy()


def pixels(random, *shape):
    return random.random(shape, dtype="float32")


def expect_equal(model, names, method, random):
    picture = pixels(random, 2, *model.input_shape[1:])
    other = with_rule(model, method)
    for name in names:
        seed, made = projected(model, name, picture, method)
        expected = differentiated(other, name, picture, seed)
        assert np.abs(expected).max() > 0, name
        np.testing.assert_allclose(made, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("method", METHODS)
def test_every_layer_of_lenet_equals_automatic_differentiation_with_the_rule(method, random):
    model = disturbed(build(LENET_MNIST, (28, 28, 1), 5), random)
    expect_equal(model, [layer.name for layer in model.layers[1:]], method, random)


def test_every_layer_of_fcn_equals_automatic_differentiation_with_the_rule(random):
    model = disturbed(build(FCN, (36, 45, 3), 5), random)
    expect_equal(model, [layer.name for layer in model.layers[1:]], "guided", random)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("section", [FCN, UNPOOLED], ids=["skips", "unpool"])
def test_the_logits_of_fcn_equal_automatic_differentiation_with_the_rule(section, method, random):
    model = disturbed(build(section, (36, 45, 3), 5), random)
    expect_equal(model, ["logits"], method, random)


@pytest.mark.parametrize("method", METHODS)
def test_the_vector_of_captum(method):
    # BasicModel_ConvNet_One_Conv of its tests: two maps of 3x3 ones, over 4x4 pixels 2x2 each, and
    # a unit that weighs those eight, map by map, with five times 1 and three times -1. Above zero
    # arrives: everywhere in the first map, at the first place of the second.
    x = image = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 3, kernel_initializer="ones", activation="relu", name="conv1")(x)
    x = layers.Flatten()(layers.Permute((3, 1, 2))(x))
    model = keras.Model(image, layers.Dense(1, activation="relu", name="fc1")(x))
    kernel = np.array([1, 1, 1, 1, 1, -1, -1, -1], "float32").reshape(8, 1)
    model.get_layer("fc1").set_weights([kernel, np.zeros(1)])
    picture = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    made = deconvnet(model, "fc1", method)([picture, np.ones((1, 1), "float32")])
    if method == "saliency":
        expected = [[2, 2, 2, 0], [2, 2, 2, 0], [2, 2, 2, 0], [0, 0, 0, 0]]
    else:
        expected = [[2, 3, 3, 1], [3, 5, 5, 2], [3, 5, 5, 2], [1, 2, 2, 1]]
    np.testing.assert_array_equal(made[0, :, :, 0], expected)


def test_the_maps_of_a_picture_of_any_size_come_back_to_its_size(random):
    model = disturbed(build(FCN, (None, None, 3), 5), random)
    known = build(FCN, (36, 45, 3), 5)
    known.set_weights(model.get_weights())
    picture = pixels(random, 1, 36, 45, 3)
    seed, made = projected(model, "conv4_1_relu", picture, "deconvnet")
    expected = deconvnet(known, "conv4_1_relu", "deconvnet")([picture, seed]).numpy()
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_network_equals_its_gradient_whatever_the_method(method, random):
    x = image = keras.Input((17, 20, 2))
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(layers.Rescaling(2.0, offset=1.0)(x))
    x = layers.Conv2D(4, (4, 5), (2, 3), padding="same", name="strided")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(4, 3, padding="valid", dilation_rate=2, name="dilated")(x)
    x = layers.Conv2D(4, 1, groups=2, name="grouped")(x)
    x = layers.Conv2DTranspose(3, 4, 3, padding="same", name="grown")(x)
    x = layers.Conv2DTranspose(3, 2, 3, padding="valid", name="gapped")(x)
    x = layers.AveragePooling2D(2, padding="same", name="mean")(x)
    y = layers.Cropping2D(1)(layers.UpSampling2D(2, interpolation="bilinear", name="up")(x))
    y = layers.Concatenate(name="beside")([y, y])
    model = keras.Model(image, layers.Dense(3, name="output")(layers.Flatten()(y)))
    model = disturbed(model, random)
    picture = pixels(random, 2, 17, 20, 2)
    for layer in model.layers[1:]:
        seed, made = projected(model, layer.name, picture, method)
        expected = differentiated(model, layer.name, picture, seed)
        np.testing.assert_allclose(made, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("method", METHODS)
def test_a_rectifier_in_any_layer_follows_the_rule_once(method, random):
    x = image = keras.Input((9, 9, 4))
    x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    x = layers.Conv2D(4, 1, groups=2, activation="relu", name="grouped")(x)
    x = layers.SeparableConv2D(3, 3, activation="relu", name="separable")(x)
    model = keras.Model(image, layers.Conv2D(2, 3, name="last")(x))
    expect_equal(disturbed(model, random), ["depthwise", "grouped", "last"], method, random)


def test_the_rectifiers_of_a_model_within_a_model_are_not_passed_over():
    inner = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(1, 3, activation="relu")])
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, layers.Flatten(name="flat")(inner(image)))
    with pytest.raises(UserError, match="expected method=saliency"):
        deconvnet(model, "flat", "guided")


def test_where_windows_overlap_what_comes_back_adds(random):
    # The 9 is the maximum of all four windows of 3x3 with stride 2.
    picture = np.zeros((1, 5, 5, 1), "float32")
    picture[0, 2, 2, 0] = 9
    image = keras.Input((5, 5, 1))
    model = keras.Model(image, layers.MaxPooling2D(3, 2, name="pool")(image))
    seed = np.array([1, 2, 3, 4], "float32").reshape(1, 2, 2, 1)
    made = deconvnet(model, "pool")([picture, seed]).numpy()
    expected = np.zeros_like(picture)
    expected[0, 2, 2, 0] = 1 + 2 + 3 + 4
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("deconvnet", [[1, 0, 2, 0], [0, 0, 0, 0]]), ("guided", np.zeros((2, 4)))],
)
def test_what_comes_to_a_window_of_zeros_goes_to_its_first_place(method, expected):
    image = keras.Input((2, 4, 1))
    rectified = layers.ReLU()(image)
    model = keras.Model(image, layers.MaxPooling2D(2, name="pool")(rectified))
    seed = np.array([1, 2], "float32").reshape(1, 1, 2, 1)
    made = deconvnet(model, "pool", method)([-np.ones((1, 2, 4, 1), "float32"), seed])
    np.testing.assert_array_equal(made[0, :, :, 0], expected)


@pytest.mark.parametrize("method", METHODS)
def test_height_and_width_are_treated_alike(method, random):
    model = disturbed(build(FCN, (None, None, 3), 5), random)
    picture = pixels(random, 1, 36, 45, 3)
    seed, made = projected(model, "conv3_1_relu", picture, method)
    for weight in model.weights:
        if len(weight.shape) == 4:
            weight.assign(np.transpose(weight, (1, 0, 2, 3)))
    turned = deconvnet(model, "conv3_1_relu", method)(
        [np.transpose(picture, (0, 2, 1, 3)), np.transpose(seed, (0, 2, 1, 3))]
    )
    tolerance = 1e-5 * np.abs(made).max()
    np.testing.assert_allclose(np.transpose(turned, (0, 2, 1, 3)), made, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "section",
    [
        config.LeNet5(name="lenet5"),
        config.LeNet5(name="lenet5", c3="sparse"),
        *(
            config.Autoencoder(name="autoencoder", filters=4, decoder=decoder)
            for decoder in ("deconv", "max_unpool", "average_unpool")
        ),
    ],
    ids=["lenet5", "lenet5-sparse", "deconv", "max_unpool", "average_unpool"],
)
def test_a_network_without_rectifiers_takes_saliency_and_no_other(section, random):
    model = build(section, (28, 28, 1), 10)
    picture = pixels(random, 2, 28, 28, 1)
    last = model.layers[-1].name
    seed, made = projected(model, last, picture)
    expected = differentiated(model, last, picture, seed)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    for method in ("deconvnet", "guided"):
        with pytest.raises(UserError, match="expected method=saliency") as told:
            deconvnet(model, last, method)
        assert "\n" not in str(told.value)


def test_saliency_is_what_a_small_step_changes(random):
    model = disturbed(build(LENET_MNIST, (28, 28, 1), 5), random)
    picture = pixels(random, 1, 28, 28, 1)
    seed, made = projected(model, "fc1", picture)
    # Steps small enough to cross no corner of a rectifier need float64.
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        exact = build(LENET_MNIST, (28, 28, 1), 5)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    exact.set_weights(model.get_weights())
    value = keras.Model(exact.inputs, exact.get_layer("fc1").output)
    direction, step = random.normal(size=picture.shape), 1e-8
    there, back = (np.sum(value(picture + s * direction) * seed) for s in (step, -step))
    assert (made * direction).sum() == pytest.approx((there - back) / (2 * step), rel=1e-5)


def test_it_shares_the_weights_and_leaves_the_model_as_it_is(random):
    model = build(LENET_MNIST, (28, 28, 1), 5)
    layers_before, picture = list(model.layers), pixels(random, 1, 28, 28, 1)
    before = model(picture)
    network = deconvnet(model, "conv2")
    assert model.layers == layers_before
    np.testing.assert_array_equal(model(picture), before)
    own = {id(weight) for weight in model.weights}
    assert network.weights
    assert {id(weight) for weight in network.weights} <= own
    seed = np.zeros((1, 14, 14, 8), "float32")
    seed[0, 7, 7, 3] = 1
    assert network([picture, seed]).shape == picture.shape
    earlier = network([picture, seed]).numpy()
    model.get_layer("conv2").kernel.assign(2 * model.get_layer("conv2").kernel)
    np.testing.assert_array_equal(network([picture, seed]), 2 * earlier)


def test_a_summary_reads_downwards():
    network = deconvnet(build(LENET_MNIST, (28, 28, 1), 5), "conv2")
    names = [layer.name for layer in network.layers]
    order = ["conv2_rectify", "conv2_back", "pool1_back", "conv1_rectify", "conv1_back"]
    assert [name for name in names if name in order] == order
    assert names.index("pool1_switches") < names.index("pool1_back")


def test_a_layer_that_there_is_not_is_told_with_those_that_there_are():
    with pytest.raises(UserError, match=r"expected layer= as one of normalise, conv1, .*layer=c9"):
        deconvnet(build(LENET_MNIST, (28, 28, 1), 5), "c9")
