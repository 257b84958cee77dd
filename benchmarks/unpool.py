"""Times max pooling and unpooling, forward and backward, against TensorFlow's ops and PyTorch.

    python -m benchmarks.unpool [rounds]

The 2x2 case with stride 2 on 128 maps of 28x28x32, float32. The contenders take turns, so that
whatever else the machine does falls on all of them. Prints a line of JSON: for each contender the
median of its rounds in milliseconds a step, and the median over rounds of ours divided by it.
PyTorch is timed where it is installed, once in its own memory order and once channels last.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from src.layers.pooling import MaxPoolWithArgmax2D, MaxUnpool2D

SHAPE = (128, 28, 28, 32)
STEPS = 10


def ours(x: np.ndarray, upstream: np.ndarray) -> Callable[[], np.ndarray]:
    """The layers of this project in a TensorFlow graph."""
    pool, unpool = MaxPoolWithArgmax2D(2), MaxUnpool2D()

    def pool_and_unpool(x: tf.Tensor) -> tf.Tensor:
        values, indices = pool(x)
        return unpool(values, indices, like=x)

    return _graph(pool_and_unpool, x, upstream)


def tensorflow_ops(x: np.ndarray, upstream: np.ndarray) -> Callable[[], np.ndarray]:
    """`max_pool_with_argmax`, and a scatter to indices that count across the batch."""

    def pool_and_unpool(x: tf.Tensor) -> tf.Tensor:
        values, indices = tf.nn.max_pool_with_argmax(x, 2, 2, "VALID", include_batch_in_index=True)
        size = tf.size(x, tf.int64)
        flat = tf.scatter_nd(tf.reshape(indices, [-1, 1]), tf.reshape(values, [-1]), [size])
        return tf.reshape(flat, x.shape)

    return _graph(pool_and_unpool, x, upstream)


def pytorch(x: np.ndarray, upstream: np.ndarray, channels_last: bool) -> Callable[[], np.ndarray]:
    """`max_pool2d` and `max_unpool2d`, eager as PyTorch is used."""
    import torch
    from torch.nn import functional

    order = torch.channels_last if channels_last else torch.contiguous_format
    maps, gradient = (
        torch.from_numpy(a.transpose(0, 3, 1, 2)).contiguous(memory_format=order)
        for a in (x, upstream)
    )
    maps.requires_grad_()

    def step() -> np.ndarray:
        maps.grad = None
        values, indices = functional.max_pool2d(maps, 2, 2, return_indices=True)
        functional.max_unpool2d(values, indices, 2, 2).backward(gradient)
        return maps.grad.numpy().transpose(0, 2, 3, 1)

    return step


def _graph(
    pool_and_unpool: Callable[[tf.Tensor], tf.Tensor], x: np.ndarray, upstream: np.ndarray
) -> Callable[[], np.ndarray]:
    maps, gradient = tf.constant(x), tf.constant(upstream)

    @tf.function
    def step(maps: tf.Tensor, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(maps)
            output = pool_and_unpool(maps)
        return output, tape.gradient(output, maps, gradient)

    return lambda: step(maps, gradient)[1].numpy()


def main(rounds: int) -> None:
    """Lets the contenders take turns, and prints what they took."""
    rng = np.random.default_rng(0)
    x, upstream = rng.standard_normal((2, *SHAPE), np.float32)
    steps = {"ours": ours(x, upstream), "tensorflow": tensorflow_ops(x, upstream)}
    if importlib.util.find_spec("torch"):
        steps["pytorch"] = pytorch(x, upstream, channels_last=False)
        steps["pytorch_channels_last"] = pytorch(x, upstream, channels_last=True)
    gradient = steps["ours"]()
    for name, step in steps.items():
        np.testing.assert_array_equal(step(), gradient, err_msg=name)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()
            began = time.perf_counter()
            for _ in range(STEPS):
                step()
            taken[name].append((time.perf_counter() - began) / STEPS * 1e3)
    ratios = {
        name: statistics.median(a / b for a, b in zip(taken["ours"], times, strict=True))
        for name, times in taken.items()
        if name != "ours"
    }
    report = {
        "milliseconds": {name: round(statistics.median(t), 2) for name, t in taken.items()},
        "ours_divided_by": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "rounds": rounds,
        "cpus": os.cpu_count(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
