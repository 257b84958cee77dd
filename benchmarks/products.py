"""Times the products of a network's layers one by one: what is left if nothing else took time.

    python -m benchmarks.products [model ...]

Each convolution and dense layer in its precision, without bias and activation, on its share of a
batch and with its share of the threads, as in training. Prints for each the milliseconds of the
product itself and of the gradients of its input and of its kernel, the least of many readings, and
what they would take at the speed of a large matrix product.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks import contest
from benchmarks.setups import SETUPS
from src import machine

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# LeNet-5 is trained after space to depth, not layer by layer.
MODELS = ("lenet_mnist", "autoencoder", "fcn", "street")
PRODUCTS = ("forward", "input", "kernel")
_READINGS, _TIMES = 15, 20


def measure(model: str) -> contest.Measurement:
    """The milliseconds of each product, by layer, and the operations of one for a whole batch."""
    setup = SETUPS[model]
    settings = contest.composed(*setup.arguments, "trainer.precision=bfloat16")
    machine.share_threads(settings)
    # Of operations that run at once, none could be timed.
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    from src.models.build import build
    from src.models.layer_table import rows

    keras.config.set_dtype_policy("bfloat16")
    network = build(settings.model, setup.shape, setup.classes)
    trainer = machine.resolved(settings).trainer
    share = trainer.batch_size // (trainer.shards or 1)
    layers = [layer for layer in network.layers if hasattr(layer, "kernel")]
    milliseconds = {layer.name: _of_layer(layer, share) for layer in layers}
    # Nobody asks for the gradient of the picture.
    del milliseconds[layers[0].name]["input"]
    costs = {row.name: 2 * trainer.batch_size * row.multiply_adds for row in rows(network)}
    return {"milliseconds": milliseconds, "operations": costs, "batch": trainer.batch_size}


def _of_layer(layer: keras.layers.Layer, batch: int) -> dict[str, float]:
    import keras
    import tensorflow as tf

    from src.kernels.accelerate import accelerate

    layer.activation, layer.use_bias = keras.activations.linear, False
    x, dy = (
        tf.cast(tf.random.normal((batch, *shape[1:])), layer.compute_dtype)
        for shape in (layer.input.shape, layer.output.shape)
    )

    inputs = keras.Input(x.shape[1:], dtype=layer.compute_dtype)
    forward = accelerate(keras.Model(inputs, layer(inputs)))

    def product(of: str) -> tf.Tensor:
        if of == "forward":
            return forward(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
        return tape.gradient(y, x if of == "input" else layer.kernel.value, dy)

    return {of: _milliseconds(functools.partial(product, of)) for of in PRODUCTS}


def _milliseconds(product: Callable[[], tf.Tensor]) -> float:
    import tensorflow as tf

    @tf.function
    def repeated() -> tf.Tensor:
        total = tf.zeros(())
        for _ in tf.range(_TIMES):
            # One number of it is looked at, so that none is left out.
            total += tf.cast(tf.reshape(product(), (-1,))[0], "float32")
        return total

    repeated()
    readings = []
    for _ in range(_READINGS):
        begun = time.perf_counter()
        repeated()
        readings.append((time.perf_counter() - begun) / _TIMES)
    return 1000 * min(readings)


def report(model: str, measured: contest.Measurement, rate: float) -> None:
    """Prints a table of a model; `rate` is that of a large matrix product, in operations/s."""
    print(f"\n### {model}, milliseconds a step of {measured['batch']}\n")
    print(f"| | {' | '.join(PRODUCTS)} | together | as one large product |")
    print("|---|---|---|---|---|---|")
    total = ideal = 0.0
    for name, taken in measured["milliseconds"].items():
        least = 1000 * len(taken) * measured["operations"][name] / rate
        total, ideal = total + sum(taken.values()), ideal + least
        each = (f"{taken[of]:.2f}" if of in taken else "" for of in PRODUCTS)
        print(f"| {name} | {' | '.join(each)} | {sum(taken.values()):.2f} | {least:.2f} |")
    speed = 1000 * measured["batch"] / total
    print(f"\n{total:.1f} ms, at most {speed:,.0f} images/s and {ideal / total:.0%} of ", end="")
    print(f"{rate / 1e9:,.0f} GFLOP/s, if nothing else took any time.")


def main(models: list[str]) -> None:
    """Measures each model in a process of its own."""
    product = contest.peer(sys.executable, "benchmarks.keras_peers", ["product", "bfloat16"])
    for model in models or MODELS:
        measured = contest.peer(sys.executable, "benchmarks.products", ["measure", model])
        report(model, measured, product["operations_per_second"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(sys.argv[1:])
