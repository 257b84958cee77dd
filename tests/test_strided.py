"""Strided convolutions with their own kernel gradient: the same values, the same gradients."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from src.kernels import depth_to_space, strided
from src.kernels.strided import kernel_gradient


def subpixel(x, kernel, strides):
    return strided.conv2d_transpose(x, kernel, strides, depth_to_space.conv2d_transpose)


PLAIN = {
    strided.conv2d: keras.ops.conv,
    strided.conv2d_transpose: keras.ops.conv_transpose,
    subpixel: keras.ops.conv_transpose,
}
KINDS = pytest.mark.parametrize("kind", PLAIN, ids=["conv2d", "conv2d_transpose", "subpixel"])


def test_a_gradient_worked_by_hand():
    x = np.arange(1, 17, dtype="float32").reshape(1, 4, 4, 1)
    dy = np.float32([1, 10, 100, 1000]).reshape(1, 2, 2, 1)
    #  1  2  3  4    SAME for kernel 3 and stride 2 pads one column on the right, one row below:
    #  5  6  7  8    weight (0, 0) has met pixels 1, 3, 9 and 11, weight (2, 2) has met 11 and
    #  9 10 11 12    padding.
    # 13 14 15 16
    gradient = kernel_gradient(x, dy, (3, 3), (2, 2))[:, :, 0, 0]
    assert float(gradient[0, 0]) == 1 * 1 + 3 * 10 + 9 * 100 + 11 * 1000
    assert float(gradient[1, 1]) == 6 * 1 + 8 * 10 + 14 * 100 + 16 * 1000
    assert float(gradient[2, 2]) == 11 * 1
    assert float(gradient[2, 0]) == 9 * 1 + 11 * 10


# Without kernels of 1 and strides from 2 on: the plain layer's gradient for these, an operation of
# oneDNN in TensorFlow 2.21, writes past its memory.
FORMS = [*itertools.product(range(2, 8), (1, 2, 3)), (1, 1), ((3, 6), (2, 3)), ((5, 2), (1, 2))]


@KINDS
@pytest.mark.parametrize(("kernel", "stride"), FORMS)
def test_values_and_gradients_are_those_of_the_plain_operation(kind, kernel, stride, monkeypatch):
    # In float32, where rounding hides nothing; it is used in bfloat16 only.
    monkeypatch.setattr("src.kernels.strided._gains", lambda *_: True)
    generator = np.random.default_rng(0)
    strides = np.broadcast_to(stride, 2).tolist()
    x = generator.normal(size=(3, *(np.array((2, 4)) * stride), 3)).astype("float32")
    channels = (3, 2) if kind is strided.conv2d else (2, 3)
    weights = generator.normal(size=(*np.broadcast_to(kernel, 2), *channels)).astype("float32")
    results = []
    for function in (kind, functools.partial(PLAIN[kind], padding="same")):
        # In a graph that does not know how large a batch is, as in `fit`.
        @tf.function(input_signature=[tf.TensorSpec((None, *x.shape[1:]))])
        def differentiated(inputs, function=function):
            kernel = tf.constant(weights)
            with tf.GradientTape() as tape:
                tape.watch([inputs, kernel])
                outputs = function(inputs, kernel, tuple(strides))
                loss = tf.reduce_sum(tf.tanh(outputs) ** 3)
            return outputs, *tape.gradient(loss, [inputs, kernel])

        results.append(differentiated(x))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@KINDS
@pytest.mark.parametrize(
    ("dtype", "stride", "used"),
    [("bfloat16", 2, True), ("bfloat16", 1, False), ("float32", 2, False)],
)
def test_the_gradient_is_used_where_it_is_the_faster_one(dtype, stride, used, kind, monkeypatch):
    seen = []

    def noted(x, dy, kernel_size, strides):
        seen.append((kernel_size, strides))
        return kernel_gradient(x, dy, kernel_size, strides)

    monkeypatch.setattr("src.kernels.strided.kernel_gradient", noted)
    kernel = tf.ones((5, 5, 1, 1), dtype)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum(kind(tf.ones((1, 4, 4, 1), dtype), kernel, (stride, stride)))
    gradient = tape.gradient(loss, kernel)
    assert (seen, gradient.dtype) == ([((5, 5), (2, 2))] * used, dtype)
