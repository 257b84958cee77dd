"""The space of a code: what a place in it decodes to, in which order, and for which models."""

import keras
import numpy as np
import pytest
from PIL import ImageDraw

from src import figures
from src.data.examples import Split
from src.figures import colours
from src.figures.curves import line_colours
from src.training import code_space
from src.training.features import Features, before_last, features_of

DIGITS = [str(i) for i in range(10)]
DRAWN = {"code_plane", "code_walk", "code_lines", "code_samples"}


def linear(latent=3, size=4, bypass=False):
    """Number i of the code lights pixel i of a picture, twice as far for each i."""
    image = keras.Input((size, size, 1))
    code = keras.layers.Dense(latent, name="code")(keras.layers.Flatten()(image))
    kernel = np.zeros((latent, size * size), np.float32)
    kernel[np.arange(latent), np.arange(latent)] = 0.1 * 2.0 ** (np.arange(latent) % 9)
    grow = keras.layers.Dense(size * size)
    flat = grow(code)
    grow.set_weights([kernel, np.full(size * size, 0.5)])
    made = keras.layers.Reshape((size, size, 1))(flat)
    made = keras.layers.Add()([made, image]) if bypass else made
    return keras.Model(image, made)


def features(n=50, latent=3, size=(4, 4), channels=1, classes=10):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, *size, channels)).astype(np.uint8)
    labels = rng.integers(0, classes, n).astype(np.int32) if classes else None
    return Features(rng.standard_normal((n, latent)).astype(np.float32), images, labels)


@pytest.fixture
def grids(monkeypatch):
    """What each grid was given: the pictures, and the labels of rows and columns."""
    found = {}

    def record(pictures, title, note="", rows=(), columns=()):
        found[title] = (np.asarray(pictures), list(rows), list(columns))
        return figures.space.grid(pictures, title, note, rows, columns)

    monkeypatch.setattr(code_space.figures, "grid", record)
    return found


def test_a_walk_changes_one_number_and_begins_with_the_one_that_changes_most(grids):
    codes = features()
    code_space.draw(linear(), "code", codes, DIGITS)
    pictures, rows, columns = grids["One number at a time"]
    assert rows == ["number 2", "number 1", "number 0"]
    assert (columns[0], columns[4], columns[-1]) == ("\N{MINUS SIGN}2.0", "0", "+2.0")
    for row, number in zip(pictures.reshape(3, 9, 16), (2, 1, 0), strict=True):
        assert set(np.flatnonzero(np.ptp(row, axis=0))) == {number}
        mean, deviation = codes.values[:, number].mean(), codes.values[:, number].std()
        expected = 0.5 + 0.1 * 2**number * (mean + deviation * np.linspace(-2, 2, 9))
        np.testing.assert_allclose(row[:, number], expected, rtol=1e-4)


def test_lines_lead_from_one_example_to_one_of_another_class(grids):
    codes = features()
    codes.labels.sort()
    code_space.draw(linear(), "code", codes, DIGITS)
    pictures, _, columns = grids["Between two"]
    assert columns[0] == columns[-1] == "input"
    assert pictures.shape[:2] == (8, 9)
    inputs = codes.images / np.float32(255)
    for row in pictures:
        start, end = (int((inputs == row[at]).all(axis=(1, 2, 3)).argmax()) for at in (0, -1))
        assert codes.labels[start] != codes.labels[end]
        decoded = 0.5 + 0.4 * codes.values[[start, end], 2]
        np.testing.assert_allclose(row[[1, -2], 0, 2, 0], decoded, rtol=1e-4)
        np.testing.assert_allclose(row[4, 0, 2, 0], decoded.mean(), rtol=1e-4)


def test_pictures_drawn_by_chance_have_the_mean_and_covariance_of_the_codes(grids):
    codes = features()
    codes.values[:, 1] = 2 * codes.values[:, 0]
    code_space.draw(linear(), "code", codes, DIGITS)
    made = grids["Drawn by chance"][0].reshape(77, 16)[:, :3]
    first, second = (made[:, i] - 0.5 for i in (0, 1))
    np.testing.assert_allclose(second, 4 * first, atol=1e-4)
    assert abs((made[:, 2] - 0.5).std() / 0.4 / codes.values[:, 2].std() - 1) < 0.3


def test_the_map_of_two_numbers_has_the_second_upwards(grids):
    code_space.draw(linear(latent=2), "code", features(latent=2), DIGITS)
    pictures, rows, columns = grids["The map of the code"]
    assert rows == columns[::-1]
    grey = pictures.reshape(11, 11, 16)
    assert (np.diff(grey[0, :, 0]) > 0).all()
    assert (np.diff(grey[:, 0, 1]) < 0).all()
    code_space.draw(linear(latent=3), "code", features(latent=3), DIGITS)
    assert "code_map" not in code_space.draw(linear(), "code", features(), DIGITS)


def test_what_goes_round_the_code_leaves_only_the_codes_to_be_shown():
    assert set(code_space.draw(linear(), "code", features(), DIGITS)) == DRAWN
    around = code_space.draw(linear(bypass=True), "code", features(), DIGITS)
    assert set(around) == {"code_plane"}


def test_the_plane_shows_the_directions_of_most_variance(monkeypatch):
    seen = []
    monkeypatch.setattr(
        code_space.figures, "plane", lambda points, *rest, **more: seen.append(points)
    )
    codes = features(n=400, latent=5)
    codes.values[:, 3] *= 10
    codes.values[:, 1] *= 5
    code_space._plane(codes, DIGITS)
    for axis, number in enumerate((3, 1)):
        assert np.corrcoef(seen[0][:, axis], codes.values[:, number])[0, 1] > 0.95


def test_t_sne_keeps_groups_apart_and_comes_only_on_request(monkeypatch):
    seen = []
    codes = features(n=60, classes=2)
    codes.values[:] += 50 * codes.labels[:, None]
    assert "code_tsne" not in code_space.draw(linear(), "code", codes, DIGITS)
    assert "code_tsne" in code_space.draw(linear(), "code", codes, DIGITS, tsne=True)
    monkeypatch.setattr(
        code_space.figures, "plane", lambda points, *rest, **more: seen.append(points)
    )
    code_space._tsne(codes, DIGITS)
    zero, one = (seen[0][codes.labels == label] for label in (0, 1))
    nearest = np.linalg.norm(zero[:, None] - one, axis=-1).min()
    assert nearest > 3 * np.linalg.norm(zero - zero.mean(axis=0), axis=1).mean()


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 2), (3, 300)], ids=str)
def test_any_number_of_examples_and_of_numbers_is_drawn(shape):
    n, latent = shape
    made = code_space.draw(
        linear(latent, size=20), "code", features(n, latent, (20, 20)), DIGITS, tsne=n > 2
    )
    assert set(made) >= DRAWN


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (8, 400), (400, 8), (900, 900)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_of_any_pictures_is_a_page(size, channels):
    pictures = np.random.default_rng(0).random((4, 9, *size, channels)).astype(np.float32)
    page = figures.grid(pictures, "t", rows=["a"] * 4, columns=["long label"] * 9)
    assert page.shape[1] <= 760
    assert page.shape[0] <= 1760


def test_a_grid_shows_each_picture_at_its_place():
    pictures = np.linspace(0.1, 0.9, 6).reshape(2, 3, 1, 1, 1).repeat(4, 2).repeat(4, 3)
    pictures[1, 1] = np.nan
    page = figures.grid(pictures, "t")
    middles = []
    for value in pictures[:, :, 0, 0, 0].ravel():
        colour = colours.NOT_FINITE if np.isnan(value) else (round(255 * value),) * 3
        at = np.argwhere((page == colour).all(-1))
        middles.append(at[at[:, 0] > 40].mean(axis=0))
    places = np.array(middles).reshape(2, 3, 2)
    assert (np.diff(places[:, :, 1], axis=1) > 30).all()
    assert (np.diff(places[:, :, 0], axis=0) > 30).all()


@pytest.mark.parametrize("classes", [1, 10, 37])
def test_points_have_the_colour_of_their_class(classes):
    points = np.stack([np.arange(classes), np.arange(classes)[::-1]], axis=1).astype(float)
    page = figures.plane(points, np.arange(classes), [f"class {i}" for i in range(classes)], "t")
    assert len(set(line_colours(classes))) == classes
    assert all((page == colour).all(-1).sum() >= 100 for colour in line_colours(classes))


def test_long_names_do_not_cover_the_points(monkeypatch):
    written = []
    draw_text = ImageDraw.ImageDraw.text

    def record(self, xy, text, *rest, **more):
        written.append(text)
        return draw_text(self, xy, text, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    points = np.arange(6.0).reshape(3, 2)
    figures.plane(points, np.arange(3), ["a", "b", "c"], "t")
    assert [written.count(name) for name in "abc"] == [2, 2, 2]
    written.clear()
    figures.plane(points, np.arange(3), ["Abyssinian cat", "b", "c"], "t")
    assert {"0", "1", "2", "0 Abyssinian cat", "1 b"} <= set(written)
    assert "Abyssinian cat" not in written


def test_points_without_labels_or_that_are_not_finite_make_a_plane():
    points = np.array([[0.0, np.nan], [1, 1], [2, 3]])
    assert figures.plane(points, None, ["a"], "t").shape[1] > 500
    assert figures.plane(points[:1], None, ["a"], "t").shape[1] > 500


def test_features_are_what_the_last_layer_is_given_for_examples_from_everywhere():
    image = keras.Input((2, 2, 1))
    hidden = keras.layers.Flatten()(image)
    model = keras.Model(image, keras.layers.Dense(3)(hidden))
    images = np.arange(5000 * 4).reshape(5000, 2, 2, 1).astype(np.uint8)
    split = Split(images, np.arange(5000, dtype=np.int32))
    found = features_of(model, before_last(model), split, lambda x, y: (x, y))
    assert found.values.shape == (2000, 4)
    np.testing.assert_allclose(found.values, found.images.reshape(2000, 4) / 255, rtol=1e-6)
    assert (images[found.labels] == found.images).all()
    assert found.labels[-1] > 4990
    wide = keras.layers.Dense(1000)(hidden)
    inner = keras.Model(image, keras.layers.Dense(3)(wide))
    assert len(features_of(inner, wide, split, lambda x, y: (x, y)).values) == 500
    assert features_of(inner, keras.layers.Dense(5000)(hidden), split, lambda x, y: (x, y)) is None
    two = keras.Model(image, keras.layers.Add()([hidden, hidden]))
    assert before_last(two) is None
    assert features_of(model, None, split, lambda x, y: (x, y)) is None
