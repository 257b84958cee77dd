"""Augmentation: image and mask go together, and nothing but seed and position decides."""

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.augment import Augmentation, cut, resize
from tests.mask_folders import example, label

PLAIN = Augmentation(4, 5, "crop", flip=False, scale=(1.0, 1.0), void=9)
sides = st.integers(1, 40)


@settings(max_examples=200, deadline=None)
@given(sides, sides, sides, sides, st.booleans(), st.integers(0, 2**32 - 1), st.integers(0, 10**9))
def test_a_crop_holds_neighbours_with_their_own_labels_and_void_around(
    height, width, h, w, flip, seed, position
):
    augment = Augmentation(height, width, "crop", flip, (1.0, 1.0), void=9)
    image, mask = augment(*example(h, w, 1), seed, position)
    assert image.shape == (height, width, 3)
    assert mask.shape == (height, width)
    assert image.dtype == mask.dtype == np.uint8
    inside = mask != 9
    # The third channel is the picture's number, 1; outside of the picture all is black.
    np.testing.assert_array_equal(image[..., 2], inside)
    np.testing.assert_array_equal(image[~inside], 0)
    np.testing.assert_array_equal(mask[inside], label(image)[inside])
    assert inside.sum() == min(height, h) * min(width, w)
    rows, columns = (image[..., axis].astype(int) for axis in (0, 1))
    downwards, across = inside[1:] & inside[:-1], inside[:, 1:] & inside[:, :-1]
    assert set(np.diff(rows, axis=0)[downwards]) <= {1}
    assert set(np.diff(columns, axis=1)[across]) in (set(), {1}, {-1} if flip else {1})


@settings(max_examples=100, deadline=None)
@given(sides, sides, st.sampled_from(["crop", "resize"]), st.integers(0, 1000))
def test_an_edge_stays_where_it_is_in_image_and_mask_whatever_the_scale(h, w, fit, position):
    mask = np.zeros((h, w), np.uint8)
    mask[:, w // 2 :] = 1
    image = np.repeat(200 * mask[..., None], 3, axis=-1)
    augment = Augmentation(24, 31, fit, flip=True, scale=(0.7, 1.6), void=9)
    image, mask = augment(image, mask, 3, position)
    assert image.shape == (24, 31, 3)
    assert set(np.unique(mask)) <= {0, 1, 9}
    # Away from the edge between picture and void, where black runs into the white half.
    inside = np.pad(mask != 9, 2)
    windows = np.lib.stride_tricks.sliding_window_view(inside, (5, 5))
    core = windows.all(axis=(2, 3))
    sure = core & (abs(image[..., 0].astype(int) - 100) > 4)
    np.testing.assert_array_equal((image[..., 0] > 100)[sure], mask[sure] == 1)


def test_a_window_beyond_the_picture_by_hand():
    rows = np.array([[1, 2], [3, 4]], np.uint8)
    assert cut(rows, [-1, -2], (4, 4), 7).tolist() == [
        [7, 7, 7, 7],
        [7, 7, 1, 2],
        [7, 7, 3, 4],
        [7, 7, 7, 7],
    ]
    assert cut(rows, [0, 1], (2, 1), 7).tolist() == [[2], [4]]


def test_a_mask_takes_the_label_of_the_nearest_pixel_and_an_image_goes_between():
    mask = np.array([[0, 10], [20, 30]], np.uint8)
    image = np.repeat(mask[..., None], 3, axis=-1)
    grown, labels = resize(image, mask, 4, 4)
    assert labels.tolist() == [[0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30], [20, 20, 30, 30]]
    # Centres of the new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the old; ends are held.
    assert grown[0, :, 0].tolist() == [0, 3, 8, 10]
    assert grown[:, 0, 0].tolist() == [0, 5, 15, 20]
    assert resize(image, mask, 2, 2)[0] is image


def test_resize_takes_the_whole_picture():
    whole = replace(PLAIN, height=3, width=10, fit="resize")
    image, mask = whole(*example(6, 20), 0, 0)
    assert image[:, 0, 0].tolist() == sorted(image[:, 0, 0])
    assert image[0, 0, 0] <= 1
    assert image[-1, -1, 0] >= 4
    assert image[-1, -1, 1] >= 18
    assert mask.shape == (3, 10)


def test_a_factor_of_two_shows_half_of_each_side():
    twice = replace(PLAIN, height=40, width=40, scale=(2.0, 2.0))
    image, _ = twice(*example(40, 40), 0, 5)
    rows, columns = (np.ptp(image[..., axis].astype(int)) for axis in (0, 1))
    assert (rows, columns) == (19, 19)  # A window of 20x20.


def test_padding_is_foreseen():
    assert not PLAIN.pads((4, 5))
    assert PLAIN.pads((3, 5))
    assert PLAIN.pads((4, 4))
    smaller = replace(PLAIN, height=8, width=8, scale=(0.5, 2.0))
    assert smaller.pads((15, 16))
    assert not smaller.pads((16, 16))
    assert replace(smaller, fit="resize").pads((100, 100))
    assert not replace(smaller, fit="resize", scale=(1.0, 2.0)).pads((2, 2))


def test_every_window_and_either_side_comes_equally_often():
    augment = replace(PLAIN, flip=True)
    seen = Counter()
    for position in range(4800):
        image, _ = augment(*example(6, 7), 0, position)
        flipped = image[0, 0, 1] > image[0, -1, 1]
        seen[image[0, 0, 0], min(image[0, 0, 1], image[0, -1, 1]), flipped] += 1
    assert len(seen) == 3 * 3 * 2
    # 267 each; five standard deviations of a binomial share are 80.
    assert max(abs(count - 4800 / 18) for count in seen.values()) < 80


def test_seed_and_position_decide_and_nothing_else():
    augment = Augmentation(8, 8, "crop", flip=True, scale=(0.5, 2.0), void=9)

    def drawn(seed, position):
        return augment(*example(30, 30), seed, position)[0].tobytes()

    assert drawn(1, 2) == drawn(1, 2)
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1), (2**32 - 1, 0), (0, 2**40)]
    assert len({drawn(*pair) for pair in pairs}) == len(pairs)


def test_colours_change_the_image_alone():
    augment = Augmentation(8, 8, "crop", flip=True, scale=(0.5, 2.0), void=9)
    coloured = replace(augment, colour=0.5)
    for position in range(20):
        image, mask = augment(*example(30, 30), 0, position)
        other, same = coloured(*example(30, 30), 0, position)
        np.testing.assert_array_equal(same, mask)
        assert not np.array_equal(other, image)


def test_brightness_is_drawn_evenly():
    # Of one grey, contrast and saturation are none.
    grey = np.full((8, 8, 3), 100, np.uint8), np.zeros((8, 8), np.uint8)
    augment = replace(PLAIN, colour=0.5)
    seen = [augment(*grey, 0, position)[0] for position in range(400)]
    assert all(np.ptp(image) == 0 for image in seen)
    levels = sorted(int(image.max()) for image in seen)
    np.testing.assert_allclose(levels, np.linspace(50, 150, 400), atol=8)


def test_the_chances_are_these():
    # Recorded: a change of these numbers changes every run on pictures.
    corners = [
        PLAIN(*example(100, 100), 7, position)[0][0, 0, :2].tolist() for position in range(3)
    ]
    assert corners == [[28, 40], [35, 49], [38, 81]]
