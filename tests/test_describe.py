"""The table of a model: the paper's numbers, Keras' own counts, and what an output really sees."""

import json
from pathlib import Path

import hydra
import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from src import config, describe
from src.errors import UserError
from src.layers.pooling import AverageUnpool2D, MaxPoolWithArgmax2D, MaxUnpool2D
from src.layers.upsampling import DepthwiseConv2DTranspose
from src.models import layer_table
from src.models.anatomy import anatomy
from src.models.build import build
from src.overrides import CONFIGS
from tests.commands import run

DIGIT = (28, 28, 1)
MODELS = {
    "lenet5": config.LeNet5(name="lenet5"),
    "lenet5 as published": config.LeNet5(name="lenet5", c3="sparse"),
    "lenet_mnist": config.LeNetMnist(name="lenet_mnist"),
    "autoencoder": config.Autoencoder(name="autoencoder"),
    "max_unpool": config.Autoencoder(name="autoencoder", decoder="max_unpool"),
    "average_unpool": config.Autoencoder(name="autoencoder", decoder="average_unpool"),
    "fcn": config.Fcn(name="fcn", filters=4),
    "frozen fcn": config.Fcn(
        name="fcn", filters=4, stride=16, score_channels=None, freeze_upsampling=True
    ),
    "unpooling fcn": config.Fcn(name="fcn", filters=4, decoder="unpool"),
}


def table(model):
    return {row.name: row for row in layer_table.rows(model)}


def numbers(rows, what):
    return [getattr(row, what) for row in rows.values() if getattr(row, what)]


def test_lenet5_is_the_papers():
    rows = table(build(MODELS["lenet5 as published"], (32, 32, 1), 10))
    assert numbers(rows, "parameters") == [156, 12, 1516, 32, 48120, 10164]
    *trained, output = numbers(rows, "connections")
    assert trained == [122_304, 5_880, 151_600, 2_000, 48_120, 10_164]
    assert sum(numbers(rows, "parameters")) == 60_000
    assert sum(trained) + output == 340_908
    assert [rows[name].receptive_field[0] for name in ("c1", "s2", "c3", "s4", "c5")] == [
        *(5, 6, 14, 16, 32)
    ]
    assert [rows[name].jump[0] for name in ("c1", "s2", "c3", "s4", "c5")] == [1, 2, 2, 4, 4]


@pytest.mark.parametrize(("name", "parameters"), [("lenet5", 61_706), ("lenet_mnist", 1_663_370)])
def test_totals_of_the_modern_forms(name, parameters):
    assert sum(numbers(table(build(MODELS[name], DIGIT, 10)), "parameters")) == parameters


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_known_and_adds_up(name):
    model = build(MODELS[name], (45, 70, 3) if "fcn" in name else DIGIT, 10)
    rows = table(model)
    assert rows.keys() == {layer.name for layer in model.layers[1:]}
    assert sum(numbers(rows, "parameters")) == model.count_params()
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert sum(numbers(rows, "trainable")) == trainable
    assert rows[model.layers[-1].name].output_shape == model.output_shape[1:]


@pytest.mark.parametrize("name", ["autoencoder", "lenet_mnist", "fcn"])
def test_arithmetic_and_keras_count_the_same_weights(name):
    model = build(MODELS[name], (64, 64, 1) if name == "fcn" else DIGIT, 10)
    for layer in model.layers[1:]:
        shapes = [tuple(t.shape[1:]) for t in (layer.input, layer.output) if hasattr(t, "shape")]
        if len(shapes) == 2:
            _, cost = anatomy(layer, *shapes)
            trainable = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
            assert cost.parameters == trainable, layer.name


def grown(x):
    x = keras.layers.Conv2D(1, (3, 5), (2, 3), padding="same")(x)
    x = keras.layers.Conv2DTranspose(1, 5, (3, 2), padding="same")(x)
    return keras.layers.Conv2D(1, 2, name="end")(x)


def skipped(x):
    down = keras.layers.AveragePooling2D(2, padding="same")(x)
    deep = keras.layers.AveragePooling2D(2, padding="same")(down)
    up = DepthwiseConv2DTranspose(4, 2)(deep)
    return keras.layers.Add(name="end")([up, keras.layers.Conv2D(1, 5, padding="same")(down)])


def cropped(x):
    x = keras.layers.ZeroPadding2D(((1, 2), (3, 0)))(x)
    x = keras.layers.Conv2D(1, 3, 2)(x)
    x = AverageUnpool2D((2, 3))(x)
    return keras.layers.Cropping2D(((1, 0), (0, 2)), name="end")(x)


def shifted(x):
    down = keras.layers.Cropping2D(((0, 3), (2, 0)))(
        keras.layers.ZeroPadding2D(((3, 0), (0, 2)))(x)
    )
    up = keras.layers.ZeroPadding2D(((0, 2), (3, 0)))(keras.layers.Cropping2D(((2, 0), (0, 3)))(x))
    return keras.layers.Add(name="end")([down, up])


def replicated(x):
    means = keras.layers.AveragePooling2D(3, padding="same")(x)
    return keras.layers.Add(name="end")([AverageUnpool2D(3)(means, like=x), x])


@pytest.mark.parametrize("make", [grown, skipped, cropped, shifted, replicated])
def test_receptive_fields_are_where_gradients_come_from(make):
    """The largest extent of the inputs that move an output, over all outputs."""
    inputs = keras.Input((40, 44, 1))
    model = keras.Model(inputs, make(inputs))
    for weight in model.trainable_weights:
        weight.assign(tf.ones_like(weight))
    rows = table(model)
    x = tf.zeros((1, 40, 44, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(model(x), axis=-1)[0]
    # Of an output in the middle row or column, each of the others.
    moves = tape.jacobian(y, x)[:, :, 0, :, :, 0].numpy() != 0
    for axis in (0, 1):
        others = (1 - axis, 3 - axis)
        along = moves.any(axis=others)
        inner = [np.flatnonzero(seen) for seen in along]
        edges = [
            seen for seen in inner if len(seen) and seen[0] > 0 and seen[-1] < along.shape[1] - 1
        ]
        extent = max(seen[-1] - seen[0] + 1 for seen in edges)
        assert rows["end"].receptive_field[axis] == extent
        assert rows["end"].jump[axis] * along.shape[0] == pytest.approx(along.shape[1], rel=0.2)


def test_unpooling_sees_the_positions_as_well_as_the_values():
    inputs = keras.Input((40, 40, 2))
    _, indices = MaxPoolWithArgmax2D(2)(inputs)
    values = keras.layers.Conv2D(2, 1, strides=2, name="values")(inputs)
    rows = table(keras.Model(inputs, MaxUnpool2D(name="end")(values, indices, like=inputs)))
    assert rows["values"].receptive_field == (1, 1)
    assert rows["end"].receptive_field == (2, 2)
    assert rows["end"].jump == (1, 1)
    assert rows["end"].output_shape == (40, 40, 2)


kl = keras.layers
# Stock layers on maps of 8x8x4, with the parameters of each, and what one of its outputs sees
# behind a 3x3 convolution; None if that is not known.
STOCK = {
    "global average": (kl.GlobalAveragePooling2D(), 0, (10, 10)),
    "global max": (kl.GlobalMaxPooling2D(keepdims=True), 0, (10, 10)),
    "nearest": (kl.UpSampling2D(2), 0, (3, 3)),
    "bilinear": (kl.UpSampling2D(2, interpolation="bilinear"), 0, (4, 4)),
    "bicubic": (kl.UpSampling2D(2, interpolation="bicubic"), 0, None),
    # 3x3 kernels of 4 maps, 4 x 6 weights and 6 biases.
    "separable": (kl.SeparableConv2D(6, 3), 9 * 4 + 4 * 6 + 6, (5, 5)),
    "depthwise": (kl.DepthwiseConv2D(3, strides=2, depth_multiplier=2), 9 * 8 + 8, (5, 5)),
    "layer norm": (kl.LayerNormalization(), 8, (3, 3)),
    "layer norm of all": (kl.LayerNormalization(axis=(1, 2, 3)), 512, None),
    "group norm": (kl.GroupNormalization(2), 8, None),
    "batch norm": (kl.BatchNormalization(), 16, (3, 3)),
    "leaky": (kl.LeakyReLU(), 0, (3, 3)),
    "prelu": (kl.PReLU(shared_axes=(1, 2)), 4, (3, 3)),
    "spatial dropout": (kl.SpatialDropout2D(0.1), 0, (3, 3)),
    "centre crop": (kl.CenterCrop(4, 5), 0, (3, 3)),
    "larger centre": (kl.CenterCrop(16, 16), 0, None),
    "masking": (kl.Masking(), 0, (3, 3)),
    "resizing": (kl.Resizing(5, 5), 0, None),
}


@pytest.mark.parametrize("name", STOCK)
def test_stock_layers_are_known_or_shown_without_a_receptive_field(name):
    layer, parameters, sees = STOCK[name]
    inputs = keras.Input((10, 10, 1))
    x = layer(keras.layers.Conv2D(4, 3, name="first")(inputs))
    rows = layer_table.rows(keras.Model(inputs, keras.layers.ReLU(name="end")(x)))
    assert (rows[1].parameters, rows[1].receptive_field) == (parameters, sees)
    # Nor is anything known of what comes after it.
    assert rows[2].receptive_field == sees


def test_branches_are_merged_by_every_merging_layer():
    inputs = keras.Input((10, 10, 1))
    for merge in (kl.Add, kl.Multiply, kl.Maximum, kl.Minimum, kl.Average, kl.Subtract):
        wide = kl.Conv2D(2, 5, padding="same")(inputs)
        model = keras.Model(inputs, merge(name="end")([wide, kl.Conv2D(2, 1)(inputs)]))
        assert table(model)["end"].receptive_field == (5, 5)


def test_a_squeeze_and_excitation_is_shown():
    inputs = keras.Input((10, 10, 4))
    squeezed = kl.Conv2D(4, 1)(kl.GlobalAveragePooling2D(keepdims=True)(inputs))
    rows = table(keras.Model(inputs, kl.Multiply(name="end")([inputs, squeezed])))
    assert rows["end"].receptive_field == (10, 10)


def test_sizes_that_are_not_known_are_refused():
    inputs = keras.Input((None, 8, 3))
    with pytest.raises(ValueError, match="expected a model of known size"):
        layer_table.rows(keras.Model(inputs, keras.layers.ReLU()(inputs)))


def test_classes_that_only_reading_says_are_asked_for(capsys):
    with pytest.raises(UserError, match=r"expected data\.names=\[\.\.\.\], as only reading"):
        main("model=lenet_mnist data=image_folder")
    assert main("model=lenet_mnist data=image_folder data.names=[cat,dog,emu]") == 0
    # 512 features and a bias for each of the three.
    assert "1,539" in capsys.readouterr().out
    assert main("model=autoencoder data=image_folder") == 0


@pytest.mark.parametrize("size", ["28x28", "28", "0x28x1", "28x28x1x1", "-1x2x3"])
def test_a_wrong_size_is_refused(size):
    with pytest.raises(UserError, match="input: expected HxWxC, such as 32x32x1; received"):
        describe._shape(size)


def test_the_command_prints_the_papers_numbers(tmp_path):
    out, _ = run("src.describe", "model=lenet5 model.c3=sparse", tmp_path)
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    expected = {
        "c1": ["156", "122,304"],
        "s2": ["12", "5,880"],
        "c3": ["1,516", "151,600"],
        "s4": ["32", "2,000"],
        "c5": ["48,120", "48,120"],
        "f6": ["10,164", "10,164"],
    }
    for name, counts in expected.items():
        assert lines[name][6:8] == counts
    assert lines["total"][1:3] == ["60,000", "340,908"]
    assert not list(tmp_path.iterdir())


def main(words):
    """Runs the command's `main` in this process."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composed = hydra.compose("describe", words.split())
    return describe.main(OmegaConf.to_container(composed), words.split())


def test_the_command_prints_json_for_pictures_of_any_size(capsys):
    assert main("model=fcn input=50x37x3 json=true") == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["model"], described["input"]) == ("fcn", [50, 37, 3])
    assert described["layers"][-1]["output_shape"] == [50, 37, 11]
    for name, total in described["total"].items():
        assert total == sum(layer[name] for layer in described["layers"])


def test_a_picture_that_the_model_cannot_take_is_a_users_mistake():
    with pytest.raises(UserError, match="model=autoencoder on input=30x30x1: expected height"):
        main("model=autoencoder input=30x30x1")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("input=28x28", "input: expected HxWxC"),
        ("json=perhaps", "json: expected a valid boolean; received 'perhaps'"),
    ],
)
def test_a_mistake_is_one_line(words, line, tmp_path):
    out, err = run("src.describe", words, tmp_path, status=2)
    assert (out, err.count("\n")) == ("", 1)
    assert line in err


def test_a_model_larger_than_the_memory_is_described():
    words = "model=lenet_mnist model.filters=1024 input=4000x4000x1 json=true"
    out, _ = run("src.describe", words, Path.cwd())
    # A dense layer of 1000x1000x2048 inputs and 512 units: four terabytes in float32.
    rows = {row["name"]: row for row in json.loads(out)["layers"]}
    assert rows["fc1"]["parameters"] == (1000 * 1000 * 2048 + 1) * 512
