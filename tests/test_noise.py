"""Denoising: what the model takes is corrupted, what it aims at is not."""

import numpy as np
import pytest

from src import config
from src.config import ConfigError
from src.data.examples import Split
from src.data.noise import Noise
from src.data.pipeline import evaluation_batches, training_batches
from src.figures import reconstructions

GREY = Split(np.full((40, 5, 6, 1), 51, np.uint8), np.arange(40, dtype=np.int32))
NOISE = Noise(0.1, seed=3)


def twice(images, targets):
    del targets
    return images, images


def training(first, noise=NOISE):
    batches = training_batches(GREY, twice, 10, 3, first, 8, noise)
    return [(x.numpy(), y.numpy()) for x, y in batches]


def test_the_input_is_noisy_and_the_target_clean():
    for batches in (training(0), evaluation_batches(GREY, twice, NOISE)):
        for taken, wanted in batches:
            np.testing.assert_array_equal(np.asarray(wanted), np.float32(0.2))
            assert np.asarray(taken).std() == pytest.approx(0.1, rel=0.15)


def test_the_noise_from_a_step_on_is_that_of_the_whole_run():
    for (taken, _), (again, _) in zip(training(5), training(0)[5:], strict=True):
        np.testing.assert_array_equal(taken, again)


def test_no_two_steps_seeds_or_evaluation_batches_have_the_same_noise():
    grey = np.full((2, 4, 4, 1), 0.5, "float32")
    numbers = (0, 1, 2, -1, -2)
    drawn = [NOISE(grey, number).numpy().tobytes() for number in numbers]
    drawn += [Noise(0.1, 4)(grey, number).numpy().tobytes() for number in numbers]
    assert len(set(drawn)) == 10


def test_an_evaluation_has_the_same_noise_each_time():
    first, second = (list(evaluation_batches(GREY, twice, NOISE)) for _ in range(2))
    np.testing.assert_array_equal(first[0][0], second[0][0])


def test_noise_stays_in_the_range_of_pixels():
    loud = Noise(1.0)(np.full((9, 9, 9, 1), 0.5, "float32"), 0).numpy()
    assert (loud.min(), loud.max()) == (0, 1)


def test_a_noisy_input_has_a_row_of_its_own():
    clean, made = np.zeros((2, 2, 28, 28, 1), "float32")
    without = reconstructions(clean, made)
    noisy = reconstructions(clean, made, noisy=clean + 0.5)
    assert noisy.shape[0] > without.shape[0] + 80


def test_a_model_of_another_task_is_refused_in_one_line():
    values = {
        "model": {"name": "lenet5"},
        "data": {"name": "mnist_5k", "noise": 0.3},
        "optimizer": {"name": "adam"},
        "trainer": {},
    }
    with pytest.raises(ConfigError, match=r"^expected data\.noise=0 .*=0\.3 with model=lenet5"):
        config.parse(config.Train, values)
    values["model"]["name"] = "autoencoder"
    assert config.parse(config.Train, values).data.input_noise == 0.3
