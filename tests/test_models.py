"""The networks: parameters counted by hand, shapes, and what an untrained one returns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from src import config, machine
from src.data.pipeline import graph_errors
from src.errors import UserError
from src.kernels.accelerate import accelerate
from src.kernels.activations import scaled_tanh_in_float32, silu_in_float32
from src.layers import EuclideanRbf, SparseConv2D, scaled_tanh
from src.layers import digit_codes as codes
from src.models.autoencoder import build as build_autoencoder
from src.models.build import expect_memory
from src.models.lenet5 import build as build_lenet5
from src.models.lenet_mnist import build as build_lenet_mnist
from src.training.model import TrainingModel

DIGIT = (28, 28, 1)


def parameters(model):
    return {layer.name: layer.count_params() for layer in model.layers if layer.count_params()}


def test_lenet5_dense_has_61706_parameters():
    model = build_lenet5(config.LeNet5(name="lenet5"), DIGIT, 10)
    assert parameters(model) == {
        "c1": 156,  # (5*5 + 1) * 6
        "c3": 2416,  # (5*5*6 + 1) * 16
        "c5": 48120,  # (5*5*16 + 1) * 120
        "f6": 10164,  # (120 + 1) * 84
        "output": 850,  # (84 + 1) * 10
    }
    assert model.count_params() == 61706


def test_lenet5_as_published_has_60000_parameters():
    model = build_lenet5(config.LeNet5(name="lenet5", c3="sparse"), DIGIT, 10)
    assert parameters(model) == {
        "c1": 156,
        "s2": 12,  # a coefficient and a bias for each of 6 maps
        "c3": 1516,  # 5*5 * (6*3 + 9*4 + 1*6) + 16
        "s4": 32,
        "c5": 48120,
        "f6": 10164,
    }
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 60000


def test_the_output_of_lenet5_may_be_chosen():
    rbf = build_lenet5(config.LeNet5(name="lenet5", output="rbf"), DIGIT, 10)
    softmax = build_lenet5(config.LeNet5(name="lenet5", c3="sparse", output="softmax"), DIGIT, 10)
    assert rbf.count_params() == 61706 - 850
    assert softmax.count_params() == 60000 + 850


def test_lenet5_pads_28_pixels_to_32():
    padded = build_lenet5(config.LeNet5(name="lenet5"), DIGIT, 10)
    whole = build_lenet5(config.LeNet5(name="lenet5"), (32, 32, 1), 10)
    whole.set_weights(padded.get_weights())
    image = np.random.default_rng(0).random((2, *DIGIT), np.float32)
    padded_image = np.pad(image, [(0, 0), (2, 2), (2, 2), (0, 0)])
    np.testing.assert_allclose(padded(image), whole(padded_image), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("c3", ["dense", "sparse"])
@pytest.mark.parametrize("shape", [(8, 31, 3), (32, 32, 3), (64, 48, 1), (45, 33, 3)], ids=str)
def test_lenet5_takes_other_sizes_and_colour(shape, c3):
    model = build_lenet5(config.LeNet5(name="lenet5", c3=c3, output="softmax"), shape, 4)
    images = np.random.default_rng(0).random((2, *shape), np.float32)
    # C5 has a place more for every four pixels beyond 32.
    places = [(max(side, 32) - 4) // 2 for side in shape[:2]]
    places = [((place - 4) // 2) - 4 for place in places]
    assert model.get_layer("c5").output.shape[1:3] == tuple(places)
    assert model(images).shape == (2, 4)
    # What trains it faster is the same network.
    np.testing.assert_allclose(TrainingModel(model, None)(images), model(images), atol=1e-5)


def test_a_sparse_convolution_is_a_dense_one_with_the_missing_kernels_zero():
    generator = np.random.default_rng(0)
    table = [[0, 2], [1], [0, 1, 2]]
    layer = SparseConv2D(table, kernel_size=3)
    x = generator.normal(size=(2, 6, 7, 3)).astype(np.float32)
    layer.build(x.shape)
    assert layer.count_params() == 9 * 6 + 3
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    connected, bias = layer.get_weights()
    dense = np.zeros((3, 3, 3, 3), np.float32)
    for slot, (row, column) in enumerate([(0, 0), (2, 0), (1, 1), (0, 2), (1, 2), (2, 2)]):
        dense[:, :, row, column] = connected[:, :, slot]
    reference = keras.layers.Conv2D(3, 3)
    reference.build(x.shape)
    reference.set_weights([dense, bias])
    np.testing.assert_allclose(layer(x), reference(x), rtol=1e-5, atol=1e-5)


def test_a_table_of_maps_that_there_are_not_is_refused():
    with pytest.raises(ValueError, match="below channels=2; received table"):
        SparseConv2D([[0, 2]]).build((None, 8, 8, 2))


def test_the_euclidean_output_is_the_squared_distance_by_hand():
    layer = EuclideanRbf([[1.0, -1.0], [-1.0, 1.0]])
    #  (0-1)^2 + (2+1)^2 = 10, (0+1)^2 + (2-1)^2 = 2
    np.testing.assert_array_equal(layer(np.array([[0.0, 2.0]])), [[-10, -2]])


def test_the_bitmaps_are_ten_different_codes_of_7x12_signs():
    bitmaps = np.array(codes())
    assert bitmaps.shape == (10, 7 * 12)
    assert set(bitmaps.ravel()) == {-1.0, 1.0}
    differing = (bitmaps[:, None] != bitmaps).sum(axis=-1)
    assert differing[~np.eye(10, dtype=bool)].min() >= 10


def test_lenet_mnist_has_1663370_parameters():
    model = build_lenet_mnist(config.LeNetMnist(name="lenet_mnist"), DIGIT, 10)
    assert parameters(model) == {
        "conv1": 832,  # (5*5 + 1) * 32
        "conv2": 51264,  # (5*5*32 + 1) * 64
        "fc1": 1606144,  # (7*7*64 + 1) * 512
        "output": 5130,  # (512 + 1) * 10
    }
    assert model.count_params() == 1663370


def test_l2_is_half_the_square_of_every_kernel():
    model = build_lenet_mnist(config.LeNetMnist(name="lenet_mnist", l2=0.1), DIGIT, 10)
    kernels = [np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
    expected = sum(0.1 / 2 * np.sum(kernel**2) for kernel in kernels)
    assert len(kernels) == 4
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("decoder", ["deconv", "max_unpool", "average_unpool"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 84, 1), (12, 20, 3)])
def test_the_autoencoder_returns_a_picture_of_its_inputs_shape(decoder, shape):
    settings = config.Autoencoder(name="autoencoder", decoder=decoder, latent=20, filters=4)
    model = build_autoencoder(settings, shape)
    image = np.random.default_rng(0).random((3, *shape), np.float32)
    picture = np.asarray(model(image))
    assert picture.shape == image.shape
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert model.get_layer("code").output.shape == (None, 20)


def test_an_autoencoder_of_sizes_that_4_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="that 4 divides"):
        build_autoencoder(config.Autoencoder(name="autoencoder"), (30, 28, 1))


def test_a_whole_convolution_is_one_product():
    inputs = keras.Input((4, 3, 5))
    network = keras.Model(inputs, keras.layers.Conv2D(7, (4, 3))(inputs))
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 5), np.float32)
    assert accelerate(network) != network.call
    np.testing.assert_allclose(accelerate(network)(x), network(x), rtol=1e-4, atol=1e-5)


def test_the_squashing_function_maps_1_to_1_and_rounds_once():
    x = np.linspace(-4, 4, 33, dtype=np.float32)  # that bfloat16 has, too
    exact = 1.7159 * np.tanh(2 / 3 * x.astype(float))
    np.testing.assert_allclose(scaled_tanh(x), exact, rtol=1e-6)
    np.testing.assert_allclose(scaled_tanh(np.float32([-1, 1])), [-1, 1], atol=1e-4)
    squashed = scaled_tanh_in_float32(keras.ops.cast(x, "bfloat16"))
    rounded = keras.ops.cast(exact, "bfloat16")
    assert keras.backend.standardize_dtype(squashed.dtype) == "bfloat16"
    np.testing.assert_array_equal(*(keras.ops.cast(y, "float32") for y in (squashed, rounded)))


def test_the_activation_of_the_autoencoder_is_x_times_its_sigmoid():
    x = np.array([-80, -2, -1e-3, 0, 0.5, 3, 80], np.float32)
    np.testing.assert_allclose(
        silu_in_float32(x), x / (1 + np.exp(-x.astype(float))), rtol=1e-5, atol=1e-6
    )
    half = keras.ops.cast(x, "bfloat16")
    assert keras.backend.standardize_dtype(silu_in_float32(half).dtype) == "bfloat16"


def test_half_the_filters_of_the_wide_form_counted_by_hand():
    model = build_lenet_mnist(config.LeNetMnist(name="lenet_mnist", filters=16), DIGIT, 10)
    assert parameters(model) == {
        "conv1": 416,  # (5*5 + 1) * 16
        "conv2": 12_832,  # (5*5*16 + 1) * 32
        "fc1": 803_328,  # (7*7*32 + 1) * 512
        "output": 5_130,
    }


def test_a_model_whose_weights_do_not_fit_is_refused_before_any_is_made(monkeypatch):
    section = config.LeNetMnist(name="lenet_mnist")
    # 256 x 256 x 64 inputs of 512 units, of 4 bytes each: 8 GiB, and 32 GiB in training
    monkeypatch.setattr(machine, "memory", lambda: 16 << 30)
    expect_memory(section, (1024, 1024, 1), 10)
    line = r"fits into 16\.0 GiB.*model=lenet_mnist on 1024x1024x1 with 2,14\d,\d+,\d+ parameters"
    with pytest.raises(UserError, match=line + r", 32\.0 GiB in training"):
        expect_memory(section, (1024, 1024, 1), 10, trained=True)


def test_memory_that_ran_out_in_a_graph_is_told_in_a_line():
    told = "OOM when allocating tensor with shape[3,5] and type float on /job:localhost"
    line = r"smaller trainer\.batch_size=.*tensor of shape\[3,5\]"
    with pytest.raises(UserError, match=line), graph_errors():
        raise tf.errors.ResourceExhaustedError(None, None, told)
