"""What one edits is what runs: the fast form of a network is the network, however it is edited."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from src import config
from src.kernels.accelerate import accelerate
from src.layers import scaled_tanh
from src.models.autoencoder import build as build_autoencoder
from src.models.fcn import build as build_fcn
from src.models.lenet5 import build as build_lenet5
from src.models.lenet_mnist import build as build_lenet_mnist


def lenet5():
    return build_lenet5(config.LeNet5(name="lenet5"), (28, 28, 1), 10)


def paper():
    return build_lenet5(config.LeNet5(name="lenet5", c3="sparse"), (28, 28, 1), 10)


def lenet_mnist():
    section = config.LeNetMnist(name="lenet_mnist", filters=4, dropout=0.0)
    return build_lenet_mnist(section, (28, 28, 1), 10)


def autoencoder():
    section = config.Autoencoder(name="autoencoder", filters=8)
    return build_autoencoder(section, (28, 28, 1))


def fcn():
    section = config.Fcn(name="fcn", filters=2, score_channels=4)
    return build_fcn(section, (64, 64, 1), 3)


# What each network is edited at: a convolution, a layer after it, and the last layer.
PLACES = {
    lenet5: ("c3", "s4", "output"),
    paper: ("c5", "flatten", "output"),
    lenet_mnist: ("conv2", "pool2", "output"),
    autoencoder: ("conv2", "flatten", "reconstruction"),
    fcn: ("conv2_1", "conv2_1_norm", "logits"),
}


def edited(network, at, change):
    """The network with one call of a layer changed: `change(layer, *args)` in its place."""

    def call(layer, *args, **kwargs):
        if layer.name == at:
            return change(layer, *args)
        return layer(*args, **kwargs)

    return keras.models.clone_model(network, call_function=call)


def reconfigured(**options):
    """Another layer of the same class, with other options."""

    def change(layer, *args):
        return type(layer).from_config({**layer.get_config(), **options})(*args)

    return change


def branched(layer, x):
    """A second user of what comes before the layer and of what it makes."""
    y = layer(x)
    mean = layers.GlobalAveragePooling2D(keepdims=True)
    return layers.Add()([y, mean(y)])


def twice(layer, x):
    """A layer that shares its weights with itself."""
    return layers.Average()([layer(x), layer(layers.Rescaling(0.5)(x))])


EDITS = {
    "nothing": (0, lambda layer, *args: layer(*args)),
    "scaled": (1, lambda layer, x: layers.Rescaling(0.7)(layer(x))),
    "inserted before": (0, lambda layer, x: layer(layers.Rescaling(0.5)(x))),
    "inserted after": (0, lambda layer, x: layers.LayerNormalization()(layer(x))),
    "removed": (2, lambda layer, x: layers.Identity()(x)),
    "silenced": (2, lambda layer, x: layer(layers.Rescaling(0.0)(x))),
    "tanh before": (0, lambda layer, x: layer(layers.Activation("tanh")(x))),
    "activation": (0, reconfigured(activation="relu")),
    "bias": (0, reconfigured(use_bias=False)),
    "dtype": (0, reconfigured(dtype="mixed_bfloat16")),
    "branch": (0, branched),
    "shared": (0, twice),
}


def agree(network, precise=True):
    """Compares values and gradients of a network and of its fast form, in a graph."""
    generator = np.random.default_rng(0)
    for weight in network.trainable_weights:
        if "bias" in weight.path:
            weight.assign(generator.normal(0, 0.3, weight.shape))
    images = tf.constant(generator.random((3, *network.input_shape[1:]), "float32"))

    def differentiated(forward):
        @tf.function
        def run(x):
            with tf.GradientTape() as tape:
                outputs = tf.cast(forward(x), tf.float32)
                loss = tf.reduce_sum(tf.sin(outputs))
            return outputs, *tape.gradient(loss, [v.value for v in network.trainable_variables])

        return run(images)

    results = [differentiated(forward) for forward in (network, accelerate(network))]
    assert len(results[0]) == 1 + len(network.trainable_variables)
    for one, other in zip(*results, strict=True):
        if one is None or other is None:
            assert one is other
            continue
        size = max(1.0, float(tf.reduce_max(tf.abs(one))))
        np.testing.assert_allclose(one, other, atol=(1e-4 if precise else 0.05) * size)


@pytest.mark.parametrize("build", PLACES, ids=lambda build: build.__name__)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_network_is_what_runs(build, edit):
    keras.utils.set_random_seed(0)
    place, change = EDITS[edit]
    network = edited(build(), PLACES[build][place], change)
    agree(network, precise=edit != "dtype")


def pool(layer, *args):
    return layers.MaxPooling2D(2)(*args)


@pytest.mark.parametrize("at", ["s2", "s4"])
def test_lenet5_with_max_pooling_pools_by_the_maximum(at):
    agree(edited(lenet5(), at, pool))


@pytest.mark.parametrize(
    ("at", "options"),
    [
        ("c1", {"padding": "same", "kernel_size": 1}),
        ("c1", {"filters": 7}),
        ("c1", {"activation": "tanh"}),
        ("s2", {"padding": "same"}),
        ("c5", {"kernel_size": 4}),
        ("c5", {"strides": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_lenet5_of_another_form_is_what_runs(at, options):
    x = inputs = keras.Input((32, 32, 1))
    for layer in lenet5().layers[3:]:
        own = {**layer.get_config(), **(options if layer.name == at else {})}
        x = type(layer).from_config(own)(x)
    agree(keras.Model(inputs, x))


@pytest.mark.parametrize(
    "options",
    [{"padding": "valid"}, {"strides": 1}, {"kernel_size": 4}, {"strides": 3}, {"use_bias": False}],
    ids=lambda options: "-".join(options),
)
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.Conv2DTranspose])
def test_a_strided_convolution_of_another_form_is_what_runs(kind, options):
    arguments = {"filters": 8, "kernel_size": 5, "strides": 2, "padding": "same", **options}
    inputs = keras.Input((12, 12, 8))
    agree(keras.Model(inputs, kind(**arguments, activation="silu")(inputs)))


def test_a_subclass_of_a_layer_is_left_alone():
    class Doubled(layers.Conv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    inputs = keras.Input((5, 5, 2))
    network = keras.Model(inputs, Doubled(3, 5, activation="silu")(inputs))
    assert accelerate(network) == network.call


KERNELS = (
    "strided.conv2d",
    "strided.conv2d_transpose",
    "lenet5.c1_to_s4",
    "normalization.batch_normalization",
    "depth_to_space.conv2d_transpose_by_rows",
)


def exchanged(network):
    """Names of the kernels' modules that the fast form of a network calls."""
    called = set()
    images = np.zeros((2, *network.input_shape[1:]), "float32")
    with pytest.MonkeyPatch.context() as patch:
        for name in KERNELS:
            module, function = name.split(".")
            owner = __import__(f"src.kernels.{module}", fromlist=[function])
            original = getattr(owner, function)

            def noted(*args, name=name, original=original):
                called.add(name)
                return original(*args)

            patch.setattr(owner, function, noted)
        accelerate(network)(images)
    return called


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_networks_of_the_project_are_recognised(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        assert exchanged(lenet5()) == {"lenet5.c1_to_s4"}
        assert exchanged(autoencoder()) == {"strided.conv2d", "strided.conv2d_transpose"}
        assert accelerate(lenet_mnist()).__qualname__.endswith("Functional.call")
        assert exchanged(fcn()) == {
            "normalization.batch_normalization",
            "depth_to_space.conv2d_transpose_by_rows",
        }
    finally:
        keras.config.set_dtype_policy(before)


def test_training_reaches_the_layers_that_ask_for_it():
    inputs = keras.Input((6,))
    x = layers.Dense(6, activation="silu")(inputs)
    network = keras.Model(inputs, layers.Dropout(0.99)(x))
    forward, images = accelerate(network), np.ones((50, 6), "float32")
    assert forward != network.call
    assert np.count_nonzero(forward(images, training=True)) < 60
    assert np.count_nonzero(forward(images, training=False)) == 300


def test_the_squashing_function_is_the_papers():
    np.testing.assert_allclose(scaled_tanh(np.float32([-1, 1])), [-1, 1], atol=1e-4)
