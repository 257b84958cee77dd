"""Scenes: digits that do not overlap, masks that agree with them, and nothing but the seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.dataset import DataError
from src.data.examples import Split
from src.data.sources import mnist_5k, scenes
from src.data.sources.scenes import BOX, Canvas, compose
from src.data.splits import digest_of

# Recorded: a change of this value changes every result on scenes.
GOLDEN = "3cb50247734bddc81abfc5cd215811d0a56c2e995495708c8069f7fda2b6d8d1"
DEFAULT = Canvas(height=64, width=84, max_digits=3, noise=0.0)


@pytest.fixture(scope="module")
def digits():
    return mnist_5k.read()["test"]


def solid(ink: int = 200) -> Split:
    """Ten digits without a gap: digit d is a box of the grey value `ink + d`."""
    labels = np.arange(10, dtype=np.int32)
    images = np.broadcast_to((ink + labels)[:, None, None, None], (10, BOX, BOX, 1))
    return Split(images.astype(np.uint8), labels)


@st.composite
def canvases(draw):
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    spare = st.integers(0, 40)
    height, width = BOX * rows + draw(spare), BOX * columns + draw(spare)
    return Canvas(height, width, draw(st.integers(1, rows * columns)), noise=0.0)


@settings(max_examples=60, deadline=None)
@given(canvases(), st.integers(0, 2**32 - 1))
def test_boxes_never_overlap_and_the_mask_names_each(canvas, seed):
    scene = compose(solid(), "train", 12, canvas, seed)
    assert scene.images.shape == (12, canvas.height, canvas.width, 1)
    assert scene.targets.shape == (12, canvas.height, canvas.width)
    assert scene.images.dtype == scene.targets.dtype == np.uint8
    inked = (scene.images[..., 0] > 0).sum(axis=(1, 2))
    # A box that covered another, or left the canvas, would leave less than whole boxes.
    assert (inked % BOX**2 == 0).all()
    assert inked.min() >= BOX**2
    assert inked.max() <= canvas.max_digits * BOX**2
    np.testing.assert_array_equal(
        scene.targets, np.where(scene.images[..., 0] > 0, scene.images[..., 0] - 199, 0)
    )


def test_the_mask_holds_the_pixels_that_are_more_than_half_ink():
    image = np.zeros((1, BOX, BOX, 1), np.uint8)
    image[0, 3, 4:8, 0] = 1, 25, 26, 255
    only = Canvas(height=28, width=28, max_digits=1, noise=0.0)
    scene = compose(Split(image, np.array([7], np.int32)), "val", 1, only, seed=0)
    np.testing.assert_array_equal(scene.images, image)
    assert scene.targets[0, 3, 4:8].tolist() == [0, 0, 8, 8]
    assert scene.targets.sum() == 16


def test_real_digits_keep_their_pixels(digits):
    scene = compose(digits, "test", 200, DEFAULT, seed=3)
    np.testing.assert_array_equal(scene.targets > 0, scene.images[..., 0] > 25)
    pairs = zip(digits.images, digits.targets, strict=True)
    known = {image.tobytes(): label for image, label in pairs}
    only = Canvas(height=28, width=28, max_digits=1, noise=0.0)
    alone = compose(digits, "test", 200, only, seed=3)
    for image, mask in zip(alone.images, alone.targets, strict=True):
        assert set(np.unique(mask)) == {0, known[image.tobytes()] + 1}


def test_a_scene_holds_one_to_max_digits_equally_often():
    scene = compose(solid(), "train", 3000, DEFAULT, seed=0)
    number = (scene.targets > 0).sum(axis=(1, 2)) // BOX**2
    # Three standard deviations of a binomial share of 3000 are 2.6 per cent.
    np.testing.assert_allclose(
        np.bincount(number, minlength=4) / 3000, [0, *[1 / 3] * 3], atol=0.03
    )


def test_every_position_and_every_digit_occurs():
    lone = Canvas(height=64, width=84, max_digits=1, noise=0.0)
    scene = compose(solid(), "train", 4000, lone, seed=0)
    tops = (scene.targets > 0).any(axis=2).argmax(axis=1)
    lefts = (scene.targets > 0).any(axis=1).argmax(axis=1)
    assert set(tops) == set(range(64 - 28 + 1))
    assert set(lefts) == set(range(84 - 28 + 1))
    np.testing.assert_allclose(tops.mean(), 18, atol=0.6)
    np.testing.assert_allclose(lefts.mean(), 28, atol=0.9)
    assert set(np.unique(scene.targets)) == set(range(11))


def test_a_canvas_without_room_to_spare_is_tiled():
    full = Canvas(height=56, width=84, max_digits=6, noise=0.0)
    scene = compose(solid(), "train", 300, full, seed=0)
    assert (scene.targets > 0).all(axis=(1, 2)).any()


CROWDED = Canvas(height=60, width=90, max_digits=6, noise=0.2)


@pytest.mark.parametrize("canvas", [DEFAULT, CROWDED])
def test_the_first_scenes_do_not_depend_on_how_many_follow(digits, canvas):
    few, many = (compose(digits, "train", n, canvas, seed=5) for n in (7, 600))
    np.testing.assert_array_equal(few.images, many.images[:7])
    np.testing.assert_array_equal(few.targets, many.targets[:7])


def test_only_seed_and_split_vary_the_scenes(digits):
    def made(split: str, seed: int) -> str:
        return digest_of(compose(digits, split, 20, DEFAULT, seed))

    assert made("train", 0) == made("train", 0)
    assert len({made(split, seed) for split in ("train", "val", "test") for seed in (0, 1)}) == 6


def test_scenes_of_this_seed_are_these(digits):
    scene = compose(digits, "test", 50, CROWDED, seed=11)
    assert digest_of(scene) == GOLDEN


def test_noise_is_behind_the_digits(digits):
    quiet, noisy = (
        compose(digits, "train", 300, Canvas(64, 84, 3, noise), seed=2) for noise in (0.0, 0.1)
    )
    np.testing.assert_array_equal(quiet.targets, noisy.targets)
    assert (noisy.images >= quiet.images).all()
    assert (noisy.images[quiet.images == 255] == 255).all()
    ground = noisy.images[quiet.images == 0].astype(float)
    # A Gaussian clipped at zero keeps half its values, with the mean sigma / sqrt(2 pi).
    np.testing.assert_allclose(np.median(ground), 0, atol=0)
    np.testing.assert_allclose(ground.mean(), 25.5 / np.sqrt(2 * np.pi), rtol=0.02)
    np.testing.assert_allclose(np.sqrt((ground**2).mean()), 25.5 / np.sqrt(2), rtol=0.02)


def test_classes_are_the_background_and_the_digits():
    assert scenes.CLASSES == ("background", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_scenes_beyond_memory_are_refused():
    huge = Canvas(height=4096, width=4096, max_digits=1, noise=0.0)
    with pytest.raises(DataError, match=r"data\.train_scenes .* received 8000 \* 4096 \* 4096"):
        compose(solid(), "train", 8000, huge, seed=0)
