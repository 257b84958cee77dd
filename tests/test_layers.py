"""The layers against the oracle: eager, in a graph, compiled, with unknown sizes, in bfloat16."""

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from src.arithmetic import reference
from src.kernels import windows
from src.layers.pooling import AverageUnpool2D, MaxPoolWithArgmax2D, MaxUnpool2D
from src.layers.upsampling import DepthwiseConv2DTranspose

VECTORS = Path(__file__).parent / "vectors" / "pytorch_pooling.npz"
RNG = np.random.default_rng(0)


def specials(shape):
    """Few distinct numbers, so many ties, and NaN and infinities among them."""
    x = RNG.integers(-3, 4, shape).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf):
        x[RNG.random(shape) < 0.1] = value
    return x


def random_cases(count):
    rng = np.random.default_rng(1)
    for _ in range(count):
        pool, strides = (tuple(map(int, rng.integers(1, 5, 2))) for _ in range(2))
        height, width = (int(rng.integers(k, k + 7)) for k in pool)
        batch, channels = map(int, rng.integers(1, 4, 2))
        yield (batch, height, width, channels), pool, strides, ("valid", "same")[rng.integers(2)]


def pool_and_unpool(pool, strides, padding):
    pooling, unpooling = MaxPoolWithArgmax2D(pool, strides, padding), MaxUnpool2D()

    def call(x, other):
        values, indices = pooling(x)
        return values, indices, unpooling(other, indices, like=x)

    return call


def expect_like_the_oracle(case, run):
    shape, pool, strides, padding = case
    x = specials(shape)
    values, indices = reference.max_pool_with_argmax(x, pool, strides, padding)
    other = specials(values.shape)  # unpooled values need not be the pooled ones
    unpooled = reference.max_unpool(other, indices, *shape[1:3])
    answers = run(tf.constant(x), tf.constant(other))
    np.testing.assert_array_equal(answers[0], values, err_msg=str(case))
    np.testing.assert_array_equal(answers[1], indices, err_msg=str(case))
    np.testing.assert_array_equal(answers[2], unpooled, err_msg=str(case))


def test_eager_equals_the_oracle():
    for case in random_cases(200):
        expect_like_the_oracle(case, pool_and_unpool(*case[1:]))


def pytorch_cases():
    """The stored cases, each a dictionary; indices are changed to count channels."""
    stored = dict(np.load(VECTORS, allow_pickle=False))
    of_input = {"x", "unpooled", "pool_gradient"}
    at = {True: 0, False: 0}
    for windows_of, shapes in zip(stored["windows"].tolist(), stored["shapes"], strict=True):
        case = {}
        for large, shape in ((True, shapes[:4]), (False, shapes[4:])):
            end = at[large] + np.prod(shape, dtype=int)
            for name in stored.keys() - {"windows", "shapes"}:
                if (name in of_input) == large:
                    case[name] = stored[name][at[large] : end].reshape(shape)
            at[large] = end
        channels = case["x"].shape[3]
        case["indices"] = case["indices"].astype("int32") * channels + np.arange(channels)
        *sides, same = windows_of
        yield case, (tuple(sides[:2]), tuple(sides[2:]), "same" if same else "valid")


def test_eager_equals_pytorch():
    count = 0
    for case, windows_of in pytorch_cases():
        pool, unpool = MaxPoolWithArgmax2D(*windows_of), MaxUnpool2D()
        x, other = tf.constant(case["x"]), tf.constant(case["other"])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, other])
            values, indices = pool(x)
            unpooled = unpool(other, indices, like=x)
        answers = {
            "values": values,
            "indices": indices,
            "unpooled": unpooled,
            "pool_gradient": tape.gradient(values, x, other),
            "unpool_gradient": tape.gradient(unpooled, other, x),
        }
        for name, answer in answers.items():
            np.testing.assert_array_equal(answer, case[name], err_msg=f"{name} {windows_of}")
        count += 1
    assert count == 300


@pytest.mark.parametrize("jit_compile", [None, True], ids=["graph", "jit_compile"])
def test_graphs_equal_the_oracle(jit_compile):
    for case in random_cases(16):
        run = tf.function(pool_and_unpool(*case[1:]), jit_compile=jit_compile)
        expect_like_the_oracle(case, run)


@pytest.mark.parametrize("jit_compile", [None, True], ids=["graph", "jit_compile"])
def test_unknown_sizes_equal_the_oracle(jit_compile):
    graphs = {}
    for case in random_cases(40 if jit_compile is None else 8):
        (_, _, _, channels), *windows_of = case
        key = (channels, *windows_of)
        if key not in graphs:
            signature = [tf.TensorSpec([None, None, None, channels])] * 2
            graphs[key] = tf.function(
                pool_and_unpool(*windows_of), input_signature=signature, jit_compile=jit_compile
            )
        expect_like_the_oracle(case, graphs[key])


def test_one_graph_serves_many_sizes():
    signature = [tf.TensorSpec([None, None, None, 2])] * 2
    run = tf.function(pool_and_unpool((2, 2), (2, 2), "same"), input_signature=signature)
    for height, width in itertools.product((1, 2, 45), (3, 4)):
        expect_like_the_oracle(((2, height, width, 2), (2, 2), (2, 2), "same"), run)


def test_45_to_23_to_45():
    x = RNG.standard_normal((1, 45, 45, 1)).astype("float32")
    values, indices = MaxPoolWithArgmax2D(2, padding="same")(x)
    assert values.shape == (1, 23, 23, 1)
    assert MaxUnpool2D()(values, indices, like=x).shape == (1, 45, 45, 1)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_by_hand(graph):
    """1, 3, 4, 2: ties go to the first, and negative maxima win over the padding."""
    first = [[5, 1, 5, 5], [5, 5, 1, 1], [-9, -8, -7, -6]]
    second = [[-1, -1, -1, -1], [-2, -1, -3, -1], [-5, -5, -5, -4]]
    x = np.stack([first, second], axis=-1)[None].astype("float32")
    pool, unpool = MaxPoolWithArgmax2D(2, padding="same"), MaxUnpool2D()
    run = tf.function(lambda x: (pool(x), unpool(*pool(x), like=x)))
    (values, indices), back = run(x) if graph else run.python_function(x)
    assert values[0, :, :, 0].numpy().tolist() == [[5, 5], [-8, -6]]
    assert values[0, :, :, 1].numpy().tolist() == [[-1, -1], [-5, -4]]
    assert indices[0, :, :, 0].numpy().tolist() == [[0, 4], [18, 22]]  # (y * 4 + x) * 2
    assert indices[0, :, :, 1].numpy().tolist() == [[1, 5], [17, 23]]  # (y * 4 + x) * 2 + 1
    assert back[0, :, :, 0].numpy().tolist() == [[5, 0, 5, 0], [0, 0, 0, 0], [0, -8, 0, -6]]
    assert indices.dtype == "int32"


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_images_of_a_batch_do_not_mix(graph):
    x = np.zeros((3, 2, 2, 1), "float32")
    x[[0, 1, 2], [0, 1, 1], [1, 0, 1], 0] = 1, 2, 3
    run = pool_and_unpool((2, 2), (2, 2), "valid")
    _, indices, back = (tf.function(run) if graph else run)(
        tf.constant(x), tf.constant([[[[1.0]]], [[[2.0]]], [[[3.0]]]])
    )
    assert indices[:, 0, 0, 0].numpy().tolist() == [1, 2, 3]
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("jit_compile", [None, True], ids=["graph", "jit_compile"])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_values_with_one_index_are_assigned_in_order_and_never_added(graph, jit_compile):
    values = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], shape=(1, 2, 3, 1))
    indices = tf.constant([0, 8, 8, 3, 8, 0], shape=(1, 2, 3, 1))
    like = tf.zeros((1, 3, 3, 1))
    unpool = MaxUnpool2D()
    run = tf.function(lambda v, i: unpool(v, i, like=like), jit_compile=jit_compile)
    y = (run if graph else run.python_function)(values, indices)
    assert tf.reshape(y, [-1]).numpy().tolist() == [6, 0, 0, 4, 0, 0, 0, 0, 5]


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_indices_are_exact_beyond_what_a_float32_counts(graph):
    x = np.zeros((1, 4099, 4099, 1), "float32")  # 16,801,801 elements, more than 2**24
    x[0, 4097, 4094, 0] = 7
    pool, unpool = MaxPoolWithArgmax2D(2), MaxUnpool2D()
    run = tf.function(lambda x: (*pool(x), unpool(*pool(x), like=x)))
    values, indices, back = run(x) if graph else run.python_function(x)
    assert values[0, 2048, 2047, 0] == 7
    assert indices[0, 2048, 2047, 0] == 4097 * 4099 + 4094 == 16_797_697
    assert int(np.float32(16_797_697)) != 16_797_697
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize(
    ("size", "pool", "padding"),
    [(6, 2, "valid"), (7, 2, "same"), (7, 2, "valid"), (8, 3, "same"), (21, 4, "same")],
)
def test_indices_of_non_overlapping_pooling_are_recognised(size, pool, padding):
    """Else unpooling would still be right, but slow."""
    x = RNG.standard_normal((2, size, size, 3)).astype("float32")
    _, indices = MaxPoolWithArgmax2D(pool, padding=padding)(x)
    count = indices.shape[1]
    axis = windows.likely(size, count)
    assert windows.all_own(indices, (axis, axis))
    lead, total = max(count * pool - size, 0) // 2, size * size * 3
    for index in (-size * 3, -3, -1, 0, 1, 4, total - 1, total, total + 1, total + size * 3 + 2):
        for window in np.ndindex(count, count, 3):
            moved = indices.numpy()
            moved[(1, *window)] = index
            row, column, channel = index // (size * 3), index // 3 % size, index % 3
            own = ((row + lead) // pool, (column + lead) // pool, channel) == window
            expected = own and 0 <= index < total
            assert windows.all_own(tf.constant(moved), (axis, axis)).numpy() == expected


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_all_minus_infinity_is_found_inside_the_image(graph):
    """21 pixels make 6 windows of 4 with one pixel of padding before the first."""
    x = tf.fill((1, 21, 21, 1), -np.inf)
    pool = MaxPoolWithArgmax2D(4, padding="same")
    _, indices = (tf.function(pool) if graph else pool)(x)
    firsts = [0, 3, 7, 11, 15, 19]
    assert indices[0, :, :, 0].numpy().tolist() == [[21 * y + x for x in firsts] for y in firsts]


@pytest.mark.parametrize("outside", [-1, 27, 2**31 - 1])
def test_an_index_outside_is_an_error(outside):
    values, like = tf.ones((2, 2, 2, 3)), tf.zeros((2, 3, 3, 1))
    indices = tf.tensor_scatter_nd_update(
        tf.zeros((2, 2, 2, 3), "int32"), [[0, 1, 1, 2]], [outside]
    )
    unpool = MaxUnpool2D()
    with pytest.raises(ValueError, match=f"expected indices from 0 to 26; received .*{outside}"):
        unpool(values, indices, like=like)
    for shape in ([2, 2, 2, 3], [None, None, None, 3]):
        like_shape = like.shape if shape[0] else [None, None, None, 1]
        specs = (shape, "float32"), (shape, "int32"), (like_shape, "float32")
        signature = [tf.TensorSpec(*spec) for spec in specs]
        graph = tf.function(lambda v, i, x: unpool(v, i, like=x), input_signature=signature)
        graph(values, tf.zeros_like(indices), like)
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected indices from 0 to"):
            graph(values, indices, like)


def test_shapes_that_differ_are_refused():
    values, indices = tf.ones((1, 2, 2, 1)), tf.zeros((1, 2, 1, 1), "int32")
    with pytest.raises(ValueError, match=r"expected indices of the values' shape \(1, 2, 2, 1\)"):
        MaxUnpool2D()(values, indices, like=tf.ones((1, 4, 4, 1)))


TRIPLE: Any = (2, 2, 2)
REAL: Any = 1.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPoolWithArgmax2D(0), "expected pool_size of one or two .* pool_size=0"),
        (lambda: MaxPoolWithArgmax2D(TRIPLE), "expected pool_size of one or two integers"),
        (lambda: MaxPoolWithArgmax2D(2, strides=REAL), "expected strides .* received strides=1.5"),
        (lambda: MaxPoolWithArgmax2D(2, padding="full"), "'valid' or 'same'; .*padding='full'"),
        (lambda: AverageUnpool2D(-1), "expected pool_size .* received pool_size=-1"),
        (lambda: DepthwiseConv2DTranspose(3, 2, "causal"), "received padding='causal'"),
        (lambda: MaxPoolWithArgmax2D(5)(np.zeros((1, 4, 9, 1))), "expected size >= 5.* size=4"),
        (
            lambda: AverageUnpool2D(2)(np.zeros((1, 3, 3, 1)), like=np.zeros((1, 6, 9, 1))),
            "expected a size of 5 to 7, which windows of 2 pool to 3; received size=9",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def gradient_of(function, x, upstream):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, upstream)


MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "jit_compile": lambda function: tf.function(function, jit_compile=True),
}


@pytest.mark.parametrize(
    ("pool", "strides", "padding"),
    [(2, 2, "valid"), (2, 2, "same"), (3, 2, "same"), (2, 1, "valid"), (1, 2, "same")],
)
def test_gradients_equal_finite_differences(pool, strides, padding):
    """Of distinct integers far enough apart that a step of 1 changes no maximum."""
    x = tf.constant(RNG.permutation(5 * 6 * 2).reshape(1, 5, 6, 2) * 4.0, "float64")
    pooling = MaxPoolWithArgmax2D(pool, strides, padding, dtype="float64")
    unpooling = MaxUnpool2D(dtype="float64")
    values, indices = pooling(x)
    weights = tf.constant(RNG.integers(-3, 4, values.shape), "float64")
    upstream = tf.constant(RNG.integers(-3, 4, x.shape), "float64")

    def unpool(values):
        return unpooling(values, indices, like=x)

    # The gradient of unpooling is the gather, for each of the values that have the same index.
    gathered = ops.reshape(ops.take(ops.reshape(upstream, (-1,)), indices), values.shape)
    expected = differences(lambda x: pooling(x)[0], x, weights)
    for mode in MODES.values():
        pooled = mode(lambda x: gradient_of(lambda x: pooling(x)[0], x, weights))(x)
        np.testing.assert_array_equal(pooled, expected)
        unpooled = mode(lambda values: gradient_of(unpool, values, upstream))(values)
        np.testing.assert_array_equal(unpooled, gathered)
    if pool <= strides:
        np.testing.assert_array_equal(unpooled, differences(unpool, values, upstream))


def differences(function, x, upstream):
    """How much `<function(x), upstream>` grows when an element of `x` grows by one."""
    steps = np.eye(np.prod(x.shape)).reshape(-1, *x.shape)
    before = ops.sum(function(x) * upstream)
    after = [ops.sum(function(x + step) * upstream) for step in steps]
    return np.reshape([value - before for value in after], x.shape)


def test_gradients_pass_infinities_and_nothing_beside_them():
    x = tf.constant([[np.inf, 1.0], [2.0, 3.0]], shape=(1, 2, 2, 1))
    run = pool_and_unpool((2, 2), (2, 2), "valid")
    upstream = tf.constant([-np.inf, np.nan, 1.0, 2.0], shape=(1, 2, 2, 1))
    for mode in MODES.values():
        gradient = mode(
            lambda x: gradient_of(lambda x: run(x, MaxPoolWithArgmax2D()(x)[0])[2], x, upstream)
        )(x)
        assert tf.reshape(gradient, [-1]).numpy().tolist() == [-np.inf, 0, 0, 0]


def test_second_derivatives():
    x = tf.constant(RNG.permutation(36).reshape(1, 6, 6, 1), "float64")
    pooling = MaxPoolWithArgmax2D(2, dtype="float64")

    def first(x):
        return gradient_of(lambda x: pooling(x)[0] ** 3, x, None)

    for mode in MODES.values():
        second = mode(lambda x: gradient_of(first, x, None))(x)
        largest = MaxUnpool2D(dtype="float64")(*pooling(x), like=x)
        np.testing.assert_allclose(second, 6 * largest)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_average_unpooling_equals_the_oracle_and_pools_back(padding, graph):
    for kernel, height, width in [((2, 2), 6, 8), ((2, 3), 7, 8), ((3, 2), 8, 5), ((4, 4), 9, 10)]:
        full = RNG.integers(-9, 10, (2, height, width, 3)).astype("float32")
        pool = keras.layers.AveragePooling2D(kernel, padding=padding)
        x = ops.round(pool(full))
        layer = AverageUnpool2D(kernel)
        run = tf.function(lambda x, like, layer=layer: layer(x, like=like))
        y = (run if graph else run.python_function)(x, tf.constant(full))
        expected = reference.average_unpool(x.numpy(), kernel, (height, width))
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_allclose(pool(y), x, rtol=1e-6)
        np.testing.assert_array_equal(layer(x), reference.average_unpool(x.numpy(), kernel))


def test_average_unpooling_of_unknown_sizes():
    layer = AverageUnpool2D(2)
    signature = [tf.TensorSpec([None, None, None, 1])] * 2
    run = tf.function(lambda x, like: layer(x, like=like), input_signature=signature)
    for height in (4, 5, 6, 7):
        x, like = RNG.standard_normal((1, height // 2, 3, 1)), np.zeros((1, height, 5, 1))
        expected = reference.average_unpool(x.astype("float32"), (2, 2), (height, 5))
        np.testing.assert_array_equal(run(x.astype("float32"), like.astype("float32")), expected)


def test_average_unpooling_is_not_the_adjoint_of_average_pooling():
    """That one would divide by the size of the window: by 4 here."""
    x = tf.ones((1, 4, 4, 1))
    adjoint = gradient_of(lambda x: ops.average_pool(x, 2, 2), x, tf.ones((1, 2, 2, 1)))
    assert tf.unique(tf.reshape(adjoint, [-1])).y.numpy().tolist() == [0.25]
    assert ops.min(AverageUnpool2D(2)(tf.ones((1, 2, 2, 1)))) == 1


def test_integers_are_pooled_too():
    x = np.array([-5, -6, -7, -8, -9], np.int32).reshape(1, 5, 1, 1)
    pool = MaxPoolWithArgmax2D((2, 1), padding="same")
    for mode in ("eager", "graph"):
        values, indices = MODES[mode](pool)(x)
        assert values[0, :, 0, 0].numpy().tolist() == [-5, -7, -9]
        assert indices[0, :, 0, 0].numpy().tolist() == [0, 2, 4]


# One contract for every layer.


LAYERS = {
    "max_pool": (lambda: MaxPoolWithArgmax2D((2, 3), 2, "same"), lambda layer, x: layer(x)[0]),
    "max_unpool": (
        lambda: MaxUnpool2D(),
        lambda layer, x: layer(*MaxPoolWithArgmax2D(2, padding="same")(x), like=x),
    ),
    "average_unpool": (lambda: AverageUnpool2D((2, 3)), lambda layer, x: layer(x)),
    "average_unpool_like": (
        lambda: AverageUnpool2D(2),
        lambda layer, x: layer(keras.layers.AveragePooling2D(2, padding="same")(x), like=x),
    ),
    "depthwise": (lambda: DepthwiseConv2DTranspose((4, 3), 2, "valid"), lambda layer, x: layer(x)),
}


@pytest.mark.parametrize(
    ("sizes", "policy"), [((6, 5), "mixed_bfloat16"), ((None, None), "float32")]
)
@pytest.mark.parametrize("name", LAYERS)
def test_contract(name, sizes, policy, tmp_path):
    """Rebuilds from its config, tells its shape, trains in a model, and survives the disk."""
    make, apply = LAYERS[name]
    keras.config.set_dtype_policy(policy)
    layer = make()
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()

    inputs = keras.Input((*sizes, 2))
    outputs = apply(layer, keras.layers.Conv2D(3, 3, padding="same")(inputs))
    model = keras.Model(inputs, outputs)
    x = RNG.standard_normal((4, 6, 5, 2)).astype("float32")
    y = model(x)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert all(told in (None, n) for told, n in zip(model.output_shape, y.shape, strict=True))
    assert sizes[0] is None or None not in model.output_shape[1:]

    before = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(x, np.ones(y.shape), batch_size=3, verbose=0)
    for weight, old in zip(model.get_weights(), before, strict=True):
        assert np.isfinite(weight).all()
        assert (weight != old).any()

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.fixture(autouse=True)
def _float32_afterwards():
    yield
    keras.config.set_dtype_policy("float32")


def test_bfloat16_rounds_values_and_leaves_indices_alone():
    x = RNG.standard_normal((2, 40, 40, 3)).astype("float32")
    pool, unpool = (layer(dtype="mixed_bfloat16") for layer in (MaxPoolWithArgmax2D, MaxUnpool2D))
    rounded = tf.cast(x, "bfloat16")
    expected = reference.max_pool_with_argmax(
        tf.cast(rounded, "float32").numpy(), (2, 2), (2, 2), "valid"
    )
    for mode in MODES.values():
        values, indices = mode(pool)(x)
        assert (values.dtype, indices.dtype) == ("bfloat16", "int32")
        np.testing.assert_array_equal(tf.cast(values, "float32"), expected[0])
        np.testing.assert_array_equal(indices, expected[1])  # up to 4,799; bfloat16 counts to 256
        back = mode(lambda v, i: unpool(v, i, like=x))(values, indices)
        assert back.dtype == "bfloat16"
        np.testing.assert_array_equal(
            tf.cast(back, "float32"), reference.max_unpool(*expected, 40, 40)
        )


def test_symbolic_indices_are_integers_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    values, indices = MaxPoolWithArgmax2D()(keras.Input((None, 6, 2)))
    assert (values.dtype, indices.dtype) == ("bfloat16", "int32")
    assert values.shape == indices.shape == (None, None, 3, 2)
    assert (
        MaxPoolWithArgmax2D().compute_output_spec(keras.KerasTensor((1, 2**15, 2**15, 4)))[1].dtype
        == "int64"
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 2), (2, 3), (4, 4)])
@pytest.mark.parametrize("kernel", [(1, 2), (3, 4), (5, 8)])
def test_depthwise_transposed_convolution_equals_the_oracle(kernel, strides, padding):
    layer = DepthwiseConv2DTranspose(kernel, strides, padding)
    x = RNG.integers(-3, 4, (2, 4, 3, 2)).astype("float32")
    layer.build(x.shape)
    layer.kernel.assign(RNG.integers(-3, 4, layer.kernel.shape))
    y = layer(x)
    assert y.shape == layer.compute_output_shape(x.shape)
    diagonal = np.einsum("hwc,cd->hwcd", layer.kernel.numpy(), np.eye(2, dtype="float32"))
    expected = reference.conv2d_transpose(x, diagonal, strides, padding, tuple(y.shape[1:3]))
    np.testing.assert_array_equal(y, expected)
