"""Plain Keras: the networks of this project, its MNIST example, and the product of two matrices.

    python -m benchmarks.keras_peers train mnist.npz lenet5 arrays float32 550
    python -m benchmarks.keras_peers example mnist.npz 0
    python -m benchmarks.keras_peers product bfloat16

Prints a line of JSON.
"""

from __future__ import annotations

import os
import time

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks import keras_fcn, peer


def _scaled_tanh(x: keras.KerasTensor) -> keras.KerasTensor:
    return 1.7159 * keras.ops.tanh(x * (2 / 3))


def network(name: str, shape: tuple[int, ...], classes: int) -> keras.Model:
    """The layers of `src.models`, as one would write them."""
    if name in peer.CONVOLUTIONS:
        return keras_fcn.network(name, shape, classes)
    tanh = {"activation": _scaled_tanh}
    silu = {"activation": "silu"}
    same = {"padding": "same"}
    stacks = {
        "lenet5": [
            *[layers.ZeroPadding2D(2), layers.Rescaling(1.275, -0.1)],
            *[layers.Conv2D(6, 5, **tanh), layers.AveragePooling2D(2)],
            layers.Activation(_scaled_tanh),
            *[layers.Conv2D(16, 5, **tanh), layers.AveragePooling2D(2)],
            layers.Activation(_scaled_tanh),
            *[layers.Conv2D(120, 5, **tanh), layers.Flatten(), layers.Dense(84, **tanh)],
            layers.Dense(10, dtype="float32"),
        ],
        "lenet_mnist": [
            layers.Rescaling(1 / 0.3081, -0.1307 / 0.3081),
            *[layers.Conv2D(32, 5, activation="relu", **same), layers.MaxPooling2D()],
            *[layers.Conv2D(64, 5, activation="relu", **same), layers.MaxPooling2D()],
            *[layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dropout(0.5)],
            layers.Dense(10, dtype="float32"),
        ],
        "autoencoder": [
            layers.Conv2D(32, 5, 2, **silu, **same),
            layers.Conv2D(64, 5, 2, **silu, **same),
            *[layers.Flatten(), layers.Dense(256, **silu), layers.Dense(20)],
            *[layers.Dense(256, **silu), layers.Dense(7 * 7 * 64, **silu)],
            layers.Reshape((7, 7, 64)),
            layers.Conv2DTranspose(32, 5, 2, **silu, **same),
            layers.Conv2DTranspose(1, 5, 2, **same),
            layers.Activation("sigmoid", dtype="float32"),
        ],
    }
    return keras.Sequential([keras.Input(shape), *stacks[name]])


class _Clock(keras.callbacks.Callback):
    """The seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seconds.append(time.perf_counter() - self.begun)


def train(data: str, name: str, feed: str, precision: str, steps: int) -> dict[str, object]:
    """Trains two epochs of `steps` steps, of which the second counts."""
    if precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    arrays = np.load(data)
    batch, classes = int(arrays["batch"]), int(arrays["classes"])
    x = arrays["x_train"][: steps * batch].astype("float32") / 255
    y = x if name == "autoencoder" else arrays["y_train"][: steps * batch]
    model, clock = network(name, x.shape[1:], classes), _Clock()
    if name == "autoencoder":
        model.compile("adam", "mse")
    else:
        void = classes if name == "street" else None
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=void)
        model.compile("adam", loss, metrics=["accuracy"])
    settings = {"epochs": 2, "callbacks": [clock], "verbose": 0}
    if feed == "arrays":
        model.fit(x, y, batch_size=batch, **settings)
    else:
        pipeline = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(batch)
        model.fit(pipeline.prefetch(tf.data.AUTOTUNE), **settings)
    speed = steps * batch / clock.seconds[1]
    return {"images_per_second": speed, "parameters": model.count_params()}


def example(data: str, seed: int) -> dict[str, object]:
    """Trains keras.io's "Simple MNIST convnet" until an epoch ends with 99 % on the test set.

    Its model and settings. It evaluates only at its end; the time of our asking earlier is
    reported to be taken off.
    """
    keras.utils.set_random_seed(seed)
    arrays = np.load(data)
    x, x_test = (arrays[part].astype("float32") / 255 for part in ("x_train", "x_test"))
    y, y_test = (keras.utils.to_categorical(arrays[part], 10) for part in ("y_train", "y_test"))
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *[layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D()],
            *[layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D()],
            *[layers.Flatten(), layers.Dropout(0.5), layers.Dense(10, activation="softmax")],
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    asked: list[float] = []

    class Until(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            begun = time.perf_counter()
            self.accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
            asked.append(time.perf_counter() - begun)
            model.stop_training = self.accuracy >= 0.99

    until = Until()
    model.fit(x, y, batch_size=128, epochs=30, validation_split=0.1, verbose=0, callbacks=[until])
    return {"epochs": len(asked), "accuracy": until.accuracy, "not_counted": sum(asked[:-1])}


def product(precision: str) -> dict[str, object]:
    """The operations a second of a large matrix product."""

    def factors(side: int) -> tuple[tf.Tensor, tf.Tensor]:
        a, b = (tf.cast(tf.random.normal((side, side)), precision) for _ in range(2))
        return a, b

    return peer.product(factors, tf.matmul)


if __name__ == "__main__":
    peer.main(train, example, product)
