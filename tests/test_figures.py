"""The pictures: what a pixel means, what never changes, what does not fit and says so."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from src import figures
from src.figures import colours
from src.figures.canvas import MARGIN, heading
from src.figures.scores import _light, _shade

NEUTRAL = (247, 247, 247)
DIGITS = [str(i) for i in range(10)]
LONG = [f"Straßenverkehrsteil{i:02d}" for i in range(21)]


def images(n=1, size=(28, 28), channels=1, seed=0):
    return np.random.default_rng(seed).random((n, *size, channels)).astype(np.float32)


def masks(n=1, size=(28, 28), classes=3, seed=0):
    return np.random.default_rng(seed).integers(0, classes, (n, *size))


def framed(picture, least=20):
    """The insides of all hairline frames of at least this height, in reading order."""
    rule = (picture == colours.RULE).all(-1)
    corner = rule.copy()
    corner[:, 1:] &= ~rule[:, :-1]
    corner[1:] &= ~rule[:-1]
    found = []
    for y, x in np.argwhere(corner):
        right = x + np.argmin(np.append(rule[y, x:], False))
        bottom = y + np.argmin(np.append(rule[y:, x], False))
        found.append(picture[y + 1 : bottom - 1, x + 1 : right - 1])
    return [inside for inside in found if len(inside) >= least]


def swatches(picture):
    """The colours of the legend's squares, which are 12 px high."""
    return [tuple(s[0, 0]) for s in framed(picture, 12) if s.shape == (12, 12, 3)]


def pixel(tile, y, x, times=3):
    """The colour of a source pixel, which covers times x times pixels of the tile."""
    block = tile[y * times : (y + 1) * times, x * times : (x + 1) * times]
    assert (block == block[0, 0]).all()
    return tuple(block[0, 0].tolist())


@pytest.fixture
def written(monkeypatch):
    """Every text drawn: its words and where it lies in which image."""
    found = []
    draw_text = ImageDraw.ImageDraw.text

    def record(self, xy, text, fill=None, font=None, anchor=None):
        found.append((text, self.textbbox(xy, text, font, anchor), self.im))
        return draw_text(self, xy, text, fill, font, anchor)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    return found


def words(written):
    return [text for text, _, _ in written]


# ------------------------------------------------------------------------------- reconstructions


def test_a_perfect_reconstruction_has_the_neutral_colour_everywhere():
    x = images(2)
    inputs = framed(figures.reconstructions(x, x))
    assert [t.shape for t in inputs] == [(84, 84, 3)] * 6
    for error in inputs[4:]:
        assert (error == NEUTRAL).all()


def test_pixels_are_enlarged_without_smoothing():
    x = images(1)
    shown, *_ = framed(figures.reconstructions(x, x))
    levels = np.rint(255 * x[0]).astype(np.uint8)
    np.testing.assert_array_equal(shown, np.tile(levels, 3).repeat(3, 0).repeat(3, 1))


def test_too_bright_is_red_too_dark_is_blue_and_the_scale_is_fixed():
    x, y = np.full((2, 1, 28, 28, 1), 0.5)
    y[0, 0, :5, 0] = 0.6, 0.75, 0.4, 0.25, 0.5
    y[0, 1, :2, 0] = 1.0, 7.0
    error = framed(figures.reconstructions(x, y, scale=0.5))[2]
    slightly, half, darker, dark, none = (pixel(error, 0, i) for i in range(5))
    assert half[0] > slightly[2] > half[2]  # the stronger, the less blue
    assert dark[2] > darker[0] > dark[0]
    assert none == NEUTRAL
    assert pixel(error, 1, 0) == pixel(error, 1, 1) == tuple(colours.diverging(1).tolist())
    # A worse neighbour does not change the colour of the same error.
    y[0, 9] = 0.0
    assert pixel(framed(figures.reconstructions(x, y, scale=0.5))[2], 0, 0) == slightly


def test_both_signs_of_an_error_look_equally_strong():
    strength = np.linspace(0, 1, 129)
    light = [colours.diverging(s * strength) @ (0.299, 0.587, 0.114) for s in (-1, 1)]
    assert (np.diff(light, axis=1) <= 0.5).all()  # darker and darker, up to rounding
    assert np.abs(light[0] - light[1]).max() < 25


def test_a_shift_of_hue_does_not_cancel_in_the_error():
    x, y = np.full((2, 1, 28, 28, 3), 0.5)
    y[..., 0], y[..., 1], y[..., 2] = 0.75, 0.25, 0.5
    y[0, 0, 0] = 0.6, 0.1, 0.5
    error = framed(figures.reconstructions(x, y))[2]
    assert pixel(error, 5, 5) == tuple(colours.diverging(0.5).tolist())
    assert pixel(error, 0, 0) == tuple(colours.diverging(-0.8).tolist())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_magenta_and_only_that(value, channels, recwarn):
    x = images(1, channels=channels)
    y = x.copy()
    y[0, 3, 4, -1] = x[0, 7, 8, 0] = value
    picture = figures.reconstructions(x, y)
    marked = [(tile == colours.NOT_FINITE).all(-1)[::3, ::3] for tile in framed(picture)]
    assert [np.argwhere(m).tolist() for m in marked] == [[[7, 8]], [[3, 4]], [[3, 4], [7, 8]]]
    assert swatches(picture) == [colours.NOT_FINITE]
    assert not swatches(figures.reconstructions(images(), images()))
    assert not recwarn.list


def test_rows_are_named_and_each_column_states_its_error(written):
    x, y = np.zeros((2, 2, 28, 28, 1))
    y[1] = 0.1
    figures.reconstructions(x, y, scale=0.25)
    assert words(written) == [
        *("input", "reconstruction", "error", "MSE", "0.0000", "0.0100"),
        "output \N{MINUS SIGN} input, ±0.25",
    ]


@pytest.mark.parametrize(
    ("n", "bands"), [(1, 1), (6, 1), (8, 2), (9, 2), (10, 2), (16, 2), (64, 4)]
)
def test_many_examples_wrap_into_bands_of_equal_columns(n, bands, written):
    picture = figures.reconstructions(images(n), images(n))
    assert len(framed(picture)) == 3 * n
    assert words(written).count("input") == bands


@pytest.mark.parametrize(
    ("size", "tile"),
    [
        ((28, 28), (84, 84)),
        ((32, 32), (96, 96)),
        ((64, 84), (128, 168)),
        ((200, 150), (200, 150)),
        ((360, 480), (180, 240)),
        ((375, 500), (188, 250)),
        ((1, 1), (84, 84)),
    ],
)
def test_small_pictures_grow_and_large_ones_shrink(size, tile):
    tiles = framed(figures.reconstructions(images(1, size), images(1, size)))
    assert {t.shape[:2] for t in tiles} == {tile}


def test_bfloat16_from_mixed_precision_is_taken():
    dtype = pytest.importorskip("ml_dtypes").bfloat16
    x = images(1).astype(dtype)
    np.testing.assert_array_equal(
        figures.reconstructions(x, x),
        figures.reconstructions(x.astype(np.float32), x.astype(np.float32)),
    )


# ---------------------------------------------------------------------------------- segmentation


def test_the_legend_has_every_class_then_void_then_wrong(written):
    picture = figures.segmentation(images(), masks(), masks(), DIGITS, void=255)
    legend = swatches(picture)
    assert legend[:10] == [tuple(c) for c in colours.class_colours(10)]
    assert legend[10] in colours.VOID
    assert legend[11] == colours.WRONG
    assert words(written)[-12:] == [*DIGITS, "void", "wrong"]


def test_masks_take_their_classes_colours():
    mask = masks(classes=2)
    picture = figures.segmentation(images(), mask, 1 - mask, ["a", "b"], [[9, 8, 7], [1, 2, 3]])
    _, truth, prediction, _ = framed(picture)
    expected = np.where(mask[0, ..., None] == 0, [9, 8, 7], [1, 2, 3]).repeat(3, 0).repeat(3, 1)
    np.testing.assert_array_equal(truth, expected)
    np.testing.assert_array_equal(prediction, 10 - expected)


def test_exactly_the_wrong_pixels_are_marked():
    truth, prediction = masks(), masks(seed=1)
    error = framed(figures.segmentation(images(), truth, prediction, DIGITS))[3]
    marked = (error == colours.WRONG).all(-1)[1::3, 1::3]
    np.testing.assert_array_equal(marked, (truth != prediction)[0])


@pytest.mark.parametrize("void", [255, 2, -1])
def test_void_is_hatched_never_an_error_and_not_counted(void, written):
    truth, prediction = np.ones((2, 1, 28, 28), int)
    prediction[0, 20:] = 0
    truth[0, :14] = void
    picture = figures.segmentation(images(), truth, prediction, ["a", "b"], void=void)
    prediction[0, :14] = 0
    other = figures.segmentation(images(), truth, prediction, ["a", "b"], void=void)
    for _, mask, _, error in (framed(picture), framed(other)):
        for tile in (mask, error):
            hatched = {tuple(c) for c in tile[:42].reshape(-1, 3).tolist()}
            assert hatched == set(colours.VOID)
        assert (error[60:] == colours.WRONG).all()
        assert not (error[42:60] == colours.WRONG).all(-1).any()
    # Of 14 rows 6 are right, of one class; the other is nowhere in the truth.
    assert words(written).count("0.214") == 2


def test_where_nothing_was_found_the_caption_is_low(written):
    truth = np.zeros((1, 28, 28), int)
    truth[0, 0, :14] = 1  # 98 % are background.
    figures.segmentation(images(), truth, truth * 0, ["background", "a"])
    assert "0.491" in words(written)
    figures.confusion_matrix([[770, 0], [14, 0]], ["background", "a"], shares=True)
    assert {"Mean IoU 0.491", "784 pixels"} <= set(words(written))


def test_nothing_that_counts_is_drawn_as_nothing(written):
    figures.confusion_matrix(np.zeros((3, 3), int), DIGITS[:3], shares=True)
    assert "No pixels that count" in words(written)
    figures.class_bars([np.nan] * 3, DIGITS[:3])
    assert "all absent" in words(written)


@pytest.mark.parametrize("size", [(28, 28), (64, 84), (360, 480)], ids=["28", "64", "360"])
def test_a_hundred_examples_make_a_page_and_no_strip(size):
    x, y = np.zeros((100, *size, 1), np.float32), np.zeros((100, *size), int)
    for picture in (figures.reconstructions(x, x), figures.segmentation(x, y, y, DIGITS)):
        height, width = picture.shape[:2]
        assert 0.5 < height / width < 2
        assert width < 2300


def test_a_legend_of_many_classes_is_no_strip():
    names = [f"the breed of number {i} of 37" for i in range(37)]
    picture = figures.segmentation(images(), masks(), masks(), names)
    assert picture.shape[0] < 1.2 * picture.shape[1]


def test_nothing_but_void_has_no_score(written):
    figures.segmentation(images(), np.full((1, 28, 28), 9), masks(), DIGITS[:3], void=9)
    assert "all void" in words(written)


def test_the_palette_tells_classes_apart():
    table = colours.class_colours(24).astype(int)
    reserved = np.array([colours.WRONG, colours.NOT_FINITE, *colours.VOID])
    everything = np.vstack([table, reserved])
    apart = np.abs(everything[:, None] - everything[None]).sum(-1)
    assert apart[np.triu_indices(len(everything), 1)].min() >= 60
    assert table[0].max() < 30  # the background is nearly black
    assert (colours.class_colours(256)[:24] == table).all()


def test_no_two_of_many_classes_look_alike_to_any_eyes():
    for classes, least in ((37, 0.05), (150, 0.022), (256, 0.016)):
        seen = colours.oklab(colours.as_seen(colours.class_colours(classes)))
        apart = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=-1).min(axis=0)
        assert apart[np.triu_indices(classes, 1)].min() > least


def luminance(light):
    return light @ [0.2126, 0.7152, 0.0722]


def test_eyes_without_red_or_green_see_what_is_wrong_by_its_lightness():
    white = framed(figures.segmentation(images() * 0 + 1, masks(), masks(), DIGITS))[3]
    wrong, dimmed = luminance(colours.as_seen([colours.WRONG, tuple(white[0, 0])])).T
    assert ((wrong + 0.05) / (dimmed + 0.05) > 3).all()  # WCAG 2.1, 1.4.11


# ------------------------------------------------------------------------------- worst mistakes


def test_only_mistakes_are_shown_the_most_confident_first(written):
    truth, predicted = np.array([1, 2, 3, 4]), np.array([7, 2, 8, 9])
    sure = np.array([0.5, 1.0, 0.984, 0.7], np.float32)
    picture = figures.worst_mistakes(images(4), truth, predicted, sure, DIGITS)
    captions = [text for text in words(written) if text.endswith(("0.98", "0.70", "0.50"))]
    assert captions == ["3 → 8  0.98", "4 → 9  0.70", "1 → 7  0.50"]
    first = np.rint(255 * images(4)[2]).astype(np.uint8)
    np.testing.assert_array_equal(framed(picture)[0][::3, ::3], np.tile(first, 3))


def test_long_class_names_stand_on_lines_of_their_own(written):
    figures.worst_mistakes(images(1), [20], [3], np.array([0.5]), LONG)
    assert {LONG[20], "→ " + LONG[3], "0.50"} <= set(words(written))


def test_at_most_limit_mistakes_and_nan_confidence_last(written):
    sure = np.array([np.nan, 0.2, 0.9])
    picture = figures.worst_mistakes(images(3), [0, 1, 2], [1, 2, 3], sure, DIGITS, limit=2)
    assert len(framed(picture)) == 2
    assert "nan" not in "".join(words(written))


@pytest.mark.parametrize("n", [0, 5])
def test_no_mistakes_is_a_picture_too(n, written):
    y = np.arange(n)
    picture = figures.worst_mistakes(images(n), y, y, np.ones(n), DIGITS)
    assert words(written) == ["No mistakes", f"in {n} predictions"]
    assert picture.dtype == np.uint8


# ----------------------------------------------------------------------------- confusion matrix


def cells(picture, k, cell=44):
    """The fill of each cell, taken at its corner, `[k, k, 3]`."""
    left = picture.shape[1] - MARGIN - k * cell
    bottom = np.flatnonzero((picture[50:, left + 1] != colours.PAPER).any(-1))
    top = 50 + bottom[0]
    return picture[top + 1 :: cell, left + 1 :: cell][:k, :k].astype(int)


def test_a_cell_is_the_darker_the_larger_its_share_of_the_row():
    counts = np.zeros((10, 10), int)
    counts[0] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256]
    counts[9] = counts[0] * 1000  # the same shares, so the same colours
    fill = cells(figures.confusion_matrix(counts, DIGITS), 10)
    assert (np.diff(fill[0].sum(-1)[1:]) < 0).all()
    np.testing.assert_array_equal(fill[0, 1:9], fill[9, 1:9])
    np.testing.assert_array_equal(fill[5, 5], fill[0, 0])  # nothing there
    assert (fill[0, 0] < 255).all()  # yet told from the paper


def test_right_is_blue_and_wrong_is_orange():
    fill = cells(figures.confusion_matrix(np.full((10, 10), 7), DIGITS), 10)
    right, wrong = np.eye(10, dtype=bool), ~np.eye(10, dtype=bool)
    assert (fill[right][:, 2] > fill[right][:, 0]).all()
    assert (fill[wrong][:, 0] > fill[wrong][:, 2]).all()


def test_counts_names_and_accuracy_are_written(written):
    counts = np.array([[12345, 0, 3], [1, 9999, 0], [0, 0, 1_500_000]])
    figures.confusion_matrix(counts, ["cat", "dog", "eel"])
    text = words(written)
    assert text[:2] == ["Accuracy 100.00%", "1.5M of 1.5M"]
    assert text.count("cat") == text.count("dog") == text.count("eel") == 2
    assert {"12k", "0", "3", "1", "9999", "1.5M", "truth", "prediction"} <= set(text)
    picture = figures.confusion_matrix([[2, 1], [0, 1]], ["a", "b"])
    title = np.asarray(heading("Accuracy 75.00%", "3 of 4"))
    shown = picture[MARGIN : MARGIN + len(title), MARGIN : MARGIN + title.shape[1]]
    np.testing.assert_array_equal(shown, title)


def test_shares_of_a_row_round_no_mistake_away(written):
    counts = [[9999, 1, 0], [0, 0, 0], [0, 1, 7]]
    figures.confusion_matrix(counts, ["cat", "dog", "eel"], shares=True)
    entries = words(written)
    assert {">99.9", "<.1", "12.5", "87.5"} <= set(entries)
    assert entries.count("") == 3  # a class that is absent
    assert entries.count("0") == 2


def test_an_empty_matrix_states_that_there_is_nothing(written):
    figures.confusion_matrix(np.zeros((3, 3), np.float32), DIGITS[:3])
    assert words(written)[0] == "No examples"


@pytest.mark.parametrize("hue", [colours.RIGHT, colours.CONFUSED])
def test_text_on_every_shade_has_contrast(hue):
    def luminance(colour):
        return sum(w * (c / 255) ** 2.2 for w, c in zip((0.21, 0.72, 0.07), colour, strict=True))

    for share in np.linspace(0, 1, 101):
        fill = _shade(hue, share)
        one, two = luminance(fill), luminance(colours.INK if _light(fill) else colours.PAPER)
        assert (max(one, two) + 0.05) / (min(one, two) + 0.05) > 3.9


# ------------------------------------------------------------------------------------ class bars


def test_a_bar_is_as_long_as_its_value_and_nan_has_none(written):
    picture = figures.class_bars([1.0, 0.5, 0.25, np.nan], ["a", "b", "c", "d"])
    blue = (picture == colours.RIGHT).all(-1).sum(axis=1)
    lengths = [blue[y] - 1 for y in np.flatnonzero(np.diff(blue) > 0) + 1]
    assert lengths == [320, 160, 80]
    text = words(written)
    assert text[-2:] == ["Intersection over union", "mean 0.583"]
    assert text[-4:-2] == ["d", "absent"]


def test_bars_of_absent_classes_only(written):
    figures.class_bars([np.nan, np.nan], ["a", "b"], title="Accuracy")
    assert words(written)[-2:] == ["Accuracy", "all absent"]


# ------------------------------------------------------------------------- overlays and masks


def test_an_overlay_has_the_pictures_size_and_tells_what_is_there(written):
    mask = np.zeros((300, 400), int)
    mask[:75] = 2
    picture = figures.overlay(images(1, (300, 400), 3)[0], mask, ["sky", "tree", "road"])
    # A pixel keeps more of its class than of the picture.
    shown = picture[MARGIN : MARGIN + 300, MARGIN : MARGIN + 400].astype(int)
    table = colours.class_colours(3).astype(int)
    for label, rows in ((2, slice(75)), (0, slice(75, None))):
        rest = shown[rows] - 9 * table[label] // 16
        assert (rest >= -1).all()
        assert (rest <= 112).all()
        assert (np.ptp(rest, axis=-1) <= 1).all()  # the picture itself is grey
    assert words(written) == ["sky  75.0%", "road  25.0%"]


def test_a_small_overlay_is_enlarged_by_a_whole_number():
    picture = figures.overlay(np.ones((10, 60, 1)), np.zeros((10, 60), int), ["only"])
    block = picture[MARGIN : MARGIN + 50, MARGIN : MARGIN + 300]
    assert (block == block[0, 0]).all()
    assert (picture[MARGIN + 50, MARGIN : MARGIN + 300] == colours.PAPER).all()


@pytest.mark.parametrize("classes", [2, 11, 256])
def test_a_mask_comes_back_as_the_numbers_of_its_classes_in_their_colours(tmp_path, classes):
    mask = masks(1, (20, 30), classes)[0]
    figures.save_mask(tmp_path / "masks" / "ä.png", mask, classes)
    with Image.open(tmp_path / "masks" / "ä.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        shown = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(shown, colours.class_colours(classes)[mask])
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["ä.png"]


def test_a_mask_of_other_labels_is_not_written(tmp_path):
    for mask, classes in ((np.full((2, 2), 3), 3), (np.full((2, 2), -1), 3), (np.zeros(4), 3)):
        with pytest.raises(ValueError, match="expected mask as labels"):
            figures.save_mask(tmp_path / "a.png", mask, classes)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------- every one

VOC = np.where(masks(2, (64, 84), 21) == 20, 255, masks(2, (64, 84), 21))
PICTURES = {
    "reconstructions": lambda seed: figures.reconstructions(images(9, seed=seed), images(9) * 1.5),
    "one reconstruction": lambda seed: figures.reconstructions(
        np.where(images() < seed / 2, np.nan, images()), images(1, seed=seed)
    ),
    "very wide reconstructions": lambda seed: figures.reconstructions(
        images(5, (4, 400)), images(5, (4, 400), seed=1 + seed)
    ),
    "very wide segmentation": lambda seed: figures.segmentation(
        images(2, (4, 400)), masks(2, (4, 400), 9), masks(2, (4, 400), 9, 1 + seed), DIGITS
    ),
    "activations": lambda seed: figures.activations(
        "layer",
        list(images(3, (4, 400))),
        {f"map {i}\n-12 to 345": list(images(3, seed=seed)[..., 0]) for i in range(3)},
    ),
    "kernels": lambda seed: figures.kernels(
        "layer",
        {"trained": list(images(5, (3, 3), 3, seed=seed)), "random": list(images(5, (3, 3)))},
    ),
    "segmentation": lambda seed: figures.segmentation(
        images(2, (64, 84), 3), VOC, masks(2, (64, 84), 21, seed), LONG, void=255
    ),
    "mistakes": lambda seed: figures.worst_mistakes(
        images(30), np.zeros(30, int), np.full(30, 1 + seed), images(30)[:, 0, 0, 0], DIGITS
    ),
    "mistakes, long names": lambda seed: figures.worst_mistakes(
        images(9), np.zeros(9, int), np.full(9, 7 + seed), images(9)[:, 0, 0, 0], LONG
    ),
    "confusion": lambda seed: figures.confusion_matrix(masks(1, (10, 10), 9999, seed)[0], DIGITS),
    "confusion of 1": lambda seed: figures.confusion_matrix([[7 + seed]], ["cat"]),
    "confusion of 2": lambda seed: figures.confusion_matrix(
        masks(1, (2, 2), 99 + seed * 10**9, seed)[0], ["cat", "dog"]
    ),
    "confusion, long names": lambda seed: figures.confusion_matrix(
        masks(1, (21, 21), 9999, seed)[0], LONG
    ),
    "bars": lambda seed: figures.class_bars(
        np.where(np.arange(21) < seed, np.nan, images(21)[:, 0, 0, 0]), LONG
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_equal_input_gives_equal_bytes_and_other_values_the_same_size(name):
    first, second = PICTURES[name](0), PICTURES[name](1)
    assert first.dtype == np.uint8
    assert first.shape[2] == 3
    np.testing.assert_array_equal(first, PICTURES[name](0))
    assert first.shape == second.shape
    assert (first != second).any()


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_text_is_clipped_or_runs_into_another_and_margins_stay_blank(name, seed, written):
    picture = PICTURES[name](seed)
    for i, (text, (left, top, right, bottom), paper) in enumerate(written):
        assert left >= -1, text
        assert top >= 0, text
        assert right <= paper.size[0] + 1, text
        assert bottom <= paper.size[1], text
        for other, box, sheet in written[:i]:
            apart = left >= box[2] or box[0] >= right or top >= box[3] or box[1] >= bottom
            assert apart or sheet is not paper or not (text and other), (text, other)
    inside = np.ones(picture.shape[:2], bool)
    inside[MARGIN:-MARGIN, MARGIN:-MARGIN] = False
    assert (picture[inside] == colours.PAPER).all()


def test_names_too_long_for_their_place_end_in_an_ellipsis(written):
    names = ["n" * 99, "short\nname"]
    figures.confusion_matrix([[1, 0], [0, 1]], names)
    figures.segmentation(images(), masks(classes=2), masks(classes=2), names)
    figures.class_bars([0.1, 0.2], names)
    shortened = {t for t in words(written) if t.startswith("n")}
    assert len(shortened) == 1
    assert shortened.pop().endswith("n…")
    assert words(written).count("short name") == 4


def test_drawing_imports_neither_tensorflow_nor_keras_nor_matplotlib():
    code = (
        "import sys, numpy, src.figures as f; f.class_bars(numpy.zeros(1), ['a'])\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------- bad input

X, Y = images(2), masks(2)
FLOATS: Any = np.zeros((4, 4, 3))
BAD = [
    ("inputs=float32 (28, 28)", lambda: figures.reconstructions(X[0, ..., 0], X)),
    ("inputs=float32 (28, 28, 1)", lambda: figures.reconstructions(X[0], X[0])),
    ("inputs=uint8", lambda: figures.reconstructions(X.astype(np.uint8), X)),
    ("outputs=float32 (2, 28, 28, 2)", lambda: figures.reconstructions(X, np.tile(X, 2))),
    ("outputs=(1, 28, 28, 1)", lambda: figures.reconstructions(X, X[:1])),
    ("inputs=float32 (0, 28, 28, 1)", lambda: figures.reconstructions(X[:0], X[:0])),
    ("inputs=float32 (2, 0, 28, 1)", lambda: figures.reconstructions(X[:, :0], X[:, :0])),
    ("scale=0", lambda: figures.reconstructions(X, X, scale=0)),
    ("scale=nan", lambda: figures.reconstructions(X, X, scale=np.nan)),
    ("truth=float64", lambda: figures.segmentation(X, Y * 1.0, Y, DIGITS)),
    ("truth=int64 (1, 28, 28)", lambda: figures.segmentation(X, Y[:1], Y, DIGITS)),
    ("prediction=bool", lambda: figures.segmentation(X, Y, Y > 0, DIGITS)),
    ("truth=[2]", lambda: figures.segmentation(X, Y, Y, DIGITS[:2])),
    ("prediction=[-1]", lambda: figures.segmentation(X, Y, Y * 0 - 1, DIGITS, void=-1)),
    ("colours=[[1, 2, 3]]", lambda: figures.segmentation(X, Y, Y, DIGITS[:3], [[1, 2, 3]])),
    ("colours=[[0, 0, 256]]", lambda: figures.segmentation(X, Y * 0, Y * 0, ["a"], [[0, 0, 256]])),
    ("classes='abc'", lambda: figures.segmentation(X, Y, Y, "abc")),
    ("classes=[]", lambda: figures.confusion_matrix(np.zeros((0, 0)), [])),
    ("matrix=int64 (2, 3)", lambda: figures.confusion_matrix(np.zeros((2, 3), int), ["a", "b"])),
    ("matrix=[-1.0]", lambda: figures.confusion_matrix([[-1]], ["a"])),
    ("matrix=[0.5]", lambda: figures.confusion_matrix([[0.5]], ["a"])),
    ("matrix=[nan]", lambda: figures.confusion_matrix([[np.nan]], ["a"])),
    ("matrix=bool", lambda: figures.confusion_matrix([[True]], ["a"])),
    ("truth=int64 (1,)", lambda: figures.worst_mistakes(X, [1], [1, 2], X[:, 0, 0, 0], DIGITS)),
    ("predicted=[10]", lambda: figures.worst_mistakes(X, [1, 2], [10, 2], np.ones(2), DIGITS)),
    ("confidence=int64", lambda: figures.worst_mistakes(X, [1, 2], [1, 3], [1, 1], DIGITS)),
    (
        "confidence=[9.0, 1.0]",
        lambda: figures.worst_mistakes(X, [1, 2], [1, 3], [9.0, 1.0], DIGITS),
    ),
    ("limit=0", lambda: figures.worst_mistakes(X, [1, 2], [1, 3], np.ones(2), DIGITS, limit=0)),
    ("values=float64 (2,)", lambda: figures.class_bars([0.1, 0.2], ["a"])),
    ("values=[1.5]", lambda: figures.class_bars([1.5], ["a"])),
    ("values=[inf]", lambda: figures.class_bars([np.inf], ["a"])),
    ("picture=uint8 (4, 4)", lambda: figures.save_png("x.png", np.zeros((4, 4), np.uint8))),
    ("picture=float64 (4, 4, 3)", lambda: figures.save_png("x.png", FLOATS)),
]


@pytest.mark.parametrize(("received", "call"), BAD, ids=[received for received, _ in BAD])
def test_what_does_not_fit_is_named(received, call):
    with pytest.raises(ValueError, match=r"^expected .*; received ") as raised:
        call()
    assert f"received {received}" in str(raised.value)
    assert "\n" not in str(raised.value)


# ------------------------------------------------------------------------------------------ PNG


def test_a_png_holds_the_picture_and_its_folder_is_made(tmp_path):
    picture = figures.class_bars([0.5], ["a"])
    path = tmp_path / "figures" / "bars.png"
    figures.save_png(path, picture)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
    before = path.read_bytes()
    figures.save_png(str(path), picture)
    assert path.read_bytes() == before


def test_a_reader_of_the_old_picture_reads_it_to_its_end(tmp_path):
    path = tmp_path / "bars.png"
    figures.save_png(path, figures.class_bars([0.5], ["a"]))
    before = path.read_bytes()
    with path.open("rb") as reader:
        start = reader.read(8)
        figures.save_png(path, figures.class_bars([0.7], ["a"]))
        assert start + reader.read() == before
    assert path.read_bytes() != before


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "bars.png"
    figures.save_png(path, figures.class_bars([0.5], ["a"]))
    before = path.read_bytes()

    def half(self, file, **_):
        file.write_bytes(b"\x89PNG")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="No space"):
        figures.save_png(path, figures.class_bars([0.7], ["a"]))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
