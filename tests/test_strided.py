"""Strided convolutions with their own kernel gradient: the same values, the same gradients."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from src.kernels.depth_to_space import PolyphaseConv2DTranspose
from src.kernels.strided import StridedConv2D, StridedConv2DTranspose, kernel_gradient

PLAIN = {
    StridedConv2D: keras.layers.Conv2D,
    StridedConv2DTranspose: keras.layers.Conv2DTranspose,
    PolyphaseConv2DTranspose: keras.layers.Conv2DTranspose,
}


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


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(("kernel", "stride"), FORMS)
def test_values_and_gradients_are_those_of_the_plain_layer(kind, kernel, stride, monkeypatch):
    # In float32, where rounding hides nothing; it is used in bfloat16 only.
    monkeypatch.setattr("src.kernels.strided._gains", lambda *_: True)
    generator = np.random.default_rng(0)
    sides = np.array((2, 4)) * stride
    x = generator.normal(size=(3, *sides, 3)).astype("float32")
    own = kind(2, kernel, stride, padding="same", activation="tanh")
    own.build(x.shape)
    own.set_weights([generator.normal(size=w.shape) for w in own.get_weights()])
    plain = PLAIN[kind].from_config(own.get_config())
    plain.build(x.shape)
    plain.set_weights(own.get_weights())
    results = []
    for layer in (own, plain):
        # In a graph that does not know how large a batch is, as in `fit`.
        @tf.function(input_signature=[tf.TensorSpec((None, *x.shape[1:]))])
        def differentiated(inputs, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer(inputs)
                loss = tf.reduce_sum(outputs**3)
            return outputs, *tape.gradient(loss, [inputs, *layer.trainable_variables])

        results.append(differentiated(x))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(
    ("dtype", "stride", "used"),
    [("mixed_bfloat16", 2, True), ("mixed_bfloat16", 1, False), ("float32", 2, False)],
)
def test_the_gradient_is_used_where_it_is_the_faster_one(dtype, stride, used, kind, monkeypatch):
    seen = []

    def noted(x, dy, kernel_size, strides):
        seen.append((kernel_size, strides))
        return kernel_gradient(x, dy, kernel_size, strides)

    monkeypatch.setattr("src.kernels.strided.kernel_gradient", noted)
    layer = kind(2, 5, stride, padding="same", dtype=dtype)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(np.ones((1, 4, 4, 1))))
    gradient = tape.gradient(loss, layer.trainable_variables[0])
    assert (seen, gradient.dtype) == ([((5, 5), (2, 2))] * used, tf.float32)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_layer_survives_saving(kind, tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 1)), kind(2, 3, 2, padding="same")])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((2, 4, 4, 1), "float32")
    np.testing.assert_array_equal(model(x), again(x))


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(
    "options",
    [
        {"padding": "valid"},
        {"padding": "same", "dilation_rate": 2},
        {"padding": "same", "data_format": "channels_first"},
    ],
)
def test_other_forms_are_refused(kind, options):
    with pytest.raises(ValueError, match=r"expected padding='same', .*; received \("):
        kind(2, 3, **options).build((None, 4, 4, 2))


@pytest.mark.parametrize(
    ("kind", "options"),
    [(StridedConv2D, {"groups": 2}), *[(kind, {"output_padding": 1}) for kind in [*PLAIN][1:]]],
)
def test_forms_that_only_one_of_them_has_are_refused(kind, options):
    with pytest.raises(ValueError, match=r"expected .* one group, .* no output padding; received"):
        kind(2, 3, 2, padding="same", **options).build((None, 4, 4, 2))


def test_maps_that_the_stride_does_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"strides=\(2, 2\) divide; received .*5"):
        StridedConv2D(2, 3, 2, padding="same").build((None, 4, 5, 1))
