"""Pictures with labels: how they come to one size, and how training varies them."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from src.data import images
from src.data.augment import recoloured
from src.data.labelled import Variation
from src.training.losses import SmoothedCrossEntropy, balanced
from tests.mask_folders import coordinates

PLAIN = {"flip": False, "scale": (1.0, 1.0), "colour": 0.0}
LABEL = np.array(2, np.int32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(20, 30), (31, 17), (16, 16), (200, 3)])
@pytest.mark.parametrize("fit", ["crop", "pad", "resize"])
def test_every_picture_comes_to_the_size(fit, size, channels):
    picture = np.full((*size, channels), 200, np.uint8)
    found = images.fitted(picture, 16, 12, fit)
    assert found.shape == (16, 12, channels)
    assert found.dtype == np.uint8
    if fit != "pad":
        assert (found == 200).all()


def test_a_crop_is_the_middle_and_padding_is_black_around_the_whole():
    picture = coordinates(8, 12)
    np.testing.assert_array_equal(images.fitted(picture, 8, 8, "crop"), picture[:, 2:10])
    padded = images.fitted(picture, 12, 12, "pad")
    np.testing.assert_array_equal(padded[2:10], picture)
    assert not padded[[0, 1, 10, 11]].any()


def test_a_long_picture_takes_no_more_than_a_few_windows_of_memory():
    line = np.zeros((2, 10_000, 3), np.uint8)
    assert images.fitted(line, 64, 64, "crop", room=4.0).shape == (64, 256, 3)
    assert images.fitted(line, 64, 64, "pad", room=4.0).shape == (1, 64, 3)


def test_training_cuts_windows_from_everywhere_and_mirrors_half():
    vary = Variation(8, 8, "crop", flip=True, scale=(1.0, 1.0), colour=0.0)
    picture, left, mirrored = coordinates(8, 12), set(), 0
    for position in range(200):
        found, label = vary(picture, LABEL, 3, position)
        assert found.shape == (8, 8, 3)
        assert label == 2
        across = found[0, :, 1].astype(int)
        mirrored += across[0] > across[-1]
        left.add(across.min())
    assert left == set(range(5))
    assert 70 < mirrored < 130


def test_a_padded_picture_is_put_anywhere_in_training_and_in_the_middle_in_evaluation():
    vary = Variation(12, 12, "pad", **PLAIN)
    picture = np.full((8, 12, 3), 9, np.uint8)
    tops = {int(vary(picture, LABEL, 0, i)[0][:, 0, 0].argmax()) for i in range(60)}
    assert tops == set(range(5))
    still, _ = vary.still(picture, LABEL)
    assert still[:, 0, 0].tolist() == [0, 0, *[9] * 8, 0, 0]


@pytest.mark.parametrize(("scale", "sizes"), [((0.5, 0.5), {8}), ((2.0, 2.0), {16})])
def test_a_factor_enlarges_what_is_seen(scale, sizes):
    vary = Variation(16, 16, "resize", flip=False, scale=scale, colour=0.0)
    kept = images.fitted(np.full((40, 50, 3), 7, np.uint8), *[round(16 * vary.largest)] * 2, "crop")
    found, _ = vary(kept, LABEL, 0, 0)
    assert {int((found[..., 0] == 7).sum(axis=axis).max()) for axis in (0, 1)} == sizes


def test_colours_are_worked_by_hand():
    pixels = np.array([[[100, 50, 0], [20, 40, 60]]], np.uint8)
    # In the middle of their intervals the factors are 1.
    np.testing.assert_array_equal(recoloured(pixels, 0.5, [0.5, 0.5, 0.5]), pixels)
    # Brightness: a half of each.
    np.testing.assert_array_equal(recoloured(pixels, 0.5, [0, 0.5, 0.5]), pixels // 2)
    # Contrast: half of the distance to the mean, 45; 72.5 is rounded up.
    expected = [[[73, 48, 23], [33, 43, 53]]]
    np.testing.assert_array_equal(recoloured(pixels, 0.5, [0.5, 0, 0.5]), expected)
    # Saturation: half of the distance to grey, .299 * 100 + .587 * 50 = 59.25; 36.3.
    expected = [[[80, 55, 30], [28, 38, 48]]]
    np.testing.assert_array_equal(recoloured(pixels, 0.5, [0.5, 0.5, 0]), expected)
    grey = recoloured(pixels[..., :1], 0.5, [0.5, 0.5, 0])
    np.testing.assert_array_equal(grey, pixels[..., :1])
    # One channel has a mean of its own, 60.
    grey = recoloured(pixels[..., :1], 0.5, [0.5, 0, 0])
    np.testing.assert_array_equal(grey, [[[80], [40]]])


def test_brightness_and_saturation_are_those_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    for place, enhance in ((0, ImageEnhance.Brightness), (2, ImageEnhance.Color)):
        for uniform in (0, 0.3, 0.9, 1):
            uniforms = [0.5, 0.5, 0.5]
            uniforms[place] = uniform
            found = recoloured(pixels, 0.4, uniforms).astype(int)
            expected = enhance(Image.fromarray(pixels)).enhance(0.6 + 0.8 * uniform)
            # It rounds down, and rounds the grey before.
            assert np.abs(found - np.asarray(expected)).max() <= 1


def test_every_chance_follows_from_seed_and_position():
    vary = Variation(8, 8, "crop", flip=True, scale=(0.8, 1.3), colour=0.4)
    picture = coordinates(11, 14)
    first = vary(picture, LABEL, 1, 5)[0]
    np.testing.assert_array_equal(first, vary(picture, LABEL, 1, 5)[0])
    assert not np.array_equal(first, vary(picture, LABEL, 1, 6)[0])
    assert not np.array_equal(first, vary(picture, LABEL, 2, 5)[0])


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [5, 1, 14])
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced(np.bincount(labels), np.full(3, 20)) == pytest.approx(wanted)
    # A class without an example is none of the classes.
    assert balanced(np.array([5, 0, 15]), np.full(3, 20)) == pytest.approx((2, 1, 2 / 3))


def test_weights_multiply_the_losses_of_their_examples():
    logits = np.log([[0.25, 0.75], [0.5, 0.5], [0.2, 0.8]]).astype(np.float32)
    labels = np.array([0, 0, 1], np.int32)
    # 3 ln 4, 3 ln 2 and ln(1 / .8) / 2, over three examples.
    expected = (3 * np.log(4) + 3 * np.log(2) + np.log(1.25) / 2) / 3
    loss = SmoothedCrossEntropy(0.0, (3.0, 0.5))(labels, logits)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
