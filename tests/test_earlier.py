"""Weights files: Keras' own names, and those of the version before."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from src import config
from src.models.autoencoder import build as build_autoencoder
from src.models.fcn import build as build_fcn
from src.models.lenet5 import build as build_lenet5
from src.models.lenet_mnist import build as build_lenet_mnist
from src.training.earlier import readable

DIGIT = (28, 28, 1)
# Groups as commit d6f843c wrote them, and as Keras names them now.
FORMER = {
    "lenet5": {"whole_conv2d": "conv2d_2"},
    "paper": {"whole_conv2d": "conv2d_1"},
    "autoencoder": {
        "strided_conv2d": "conv2d_1",
        "strided_conv2d_transpose": "conv2d_transpose",
        "polyphase_conv2d_transpose": "conv2d_transpose_1",
    },
    "lenet_mnist": {},
    "fcn": {},
}


def build(name):
    match name:
        case "lenet5":
            return build_lenet5(config.LeNet5(name="lenet5"), DIGIT, 10)
        case "paper":
            return build_lenet5(config.LeNet5(name="lenet5", c3="sparse"), DIGIT, 10)
        case "autoencoder":
            return build_autoencoder(config.Autoencoder(name=name, filters=4), DIGIT)
        case "lenet_mnist":
            return build_lenet_mnist(config.LeNetMnist(name=name, filters=4), DIGIT, 10)
    return build_fcn(config.Fcn(name=name, filters=2, score_channels=4), (64, 64, 1), 3)


def stock(name):
    """The same networks from `keras.layers` alone."""
    own = {"padding": "same"}
    match name:
        case "lenet5":
            parts = [layers.ZeroPadding2D(2), layers.Conv2D(6, 5), layers.AveragePooling2D(2)]
            parts += [layers.Conv2D(16, 5), layers.AveragePooling2D(2), layers.Conv2D(120, 5)]
            parts += [layers.Flatten(), layers.Dense(84), layers.Dense(10)]
        case "autoencoder":
            parts = [layers.Conv2D(4, 5, 2, **own), layers.Conv2D(8, 5, 2, **own)]
            parts += [layers.Flatten(), layers.Dense(256), layers.Dense(20), layers.Dense(256)]
            parts += [layers.Dense(392), layers.Reshape((7, 7, 8))]
            parts += [
                layers.Conv2DTranspose(4, 5, 2, **own),
                layers.Conv2DTranspose(1, 5, 2, **own),
            ]
        case "lenet_mnist":
            parts = [layers.Conv2D(4, 5, **own), layers.MaxPooling2D()]
            parts += [layers.Conv2D(8, 5, **own), layers.MaxPooling2D(), layers.Flatten()]
            parts += [layers.Dense(512), layers.Dense(10)]
    x = inputs = keras.Input(DIGIT)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def stock_fcn():
    """FCN-8s from `keras.layers` alone, on pictures that 32 divides, which need no cropping."""
    x = inputs = keras.Input((64, 64, 1))
    pooled = []
    for stage, (count, width) in enumerate(zip((1, 1, 3, 2, 1), (1, 3, 6, 8, 8), strict=True)):
        for _ in range(count):
            x = layers.Conv2D(2 * width, 3, padding="same", use_bias=stage == 0)(x)
            if stage:
                x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
        x = layers.MaxPooling2D(padding="same")(x)
        pooled.append(x)

    def up(x, maps, kernel, stride):
        return layers.Conv2DTranspose(maps, kernel, stride, padding="same", use_bias=False)(x)

    scores = layers.Conv2D(4, 1)(pooled[4])
    for finer in (pooled[3], pooled[2]):
        scores = layers.Add()([up(scores, 4, 4, 2), layers.Conv2D(4, 1)(finer)])
    return keras.Model(inputs, up(scores, 3, 16, 8))


@pytest.mark.parametrize("name", ["lenet5", "lenet_mnist", "autoencoder", "fcn"])
def test_the_weights_load_into_a_network_of_stock_keras_layers(name, tmp_path):
    network, other = build(name), stock_fcn() if name == "fcn" else stock(name)
    network.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    named = {layer.name: layer for layer in network.layers if layer.weights}
    assert len(named) == sum(bool(layer.weights) for layer in other.layers)
    if name == "fcn":
        generator = np.random.default_rng(0)
        for layer in network.layers:
            layer.set_weights([generator.random(w.shape) for w in layer.get_weights()])
        network.save_weights(tmp_path / "drawn.weights.h5")
        other.load_weights(tmp_path / "drawn.weights.h5")
        images = generator.random((1, 64, 64, 1), "float32")
        mine, theirs = (np.asarray(model(images)) for model in (network, other))
        np.testing.assert_allclose(mine, theirs, rtol=1e-4)
        return
    for mine, theirs in zip(named.values(), [x for x in other.layers if x.weights], strict=True):
        for one, two in zip(mine.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", FORMER)
def test_weights_of_the_version_before_are_read(name, tmp_path):
    path, network = tmp_path / "model.weights.h5", build(name)
    network.save_weights(path)
    with h5py.File(path, "r+") as file:
        for former, now in FORMER[name].items():
            file["layers"].move(now, former)
    written, expected = path.read_bytes(), network.get_weights()
    other = build(name)
    with readable(path) as now:
        other.load_weights(now)
    for one, two in zip(expected, other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert path.read_bytes() == written
