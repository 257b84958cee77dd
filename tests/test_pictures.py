"""Pictures of every mode, read as a viewer shows them."""

import numpy as np
import pytest
from PIL import Image

from src import pictures
from src.errors import UserError

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a picture äö.png"


def test_eight_bits_come_as_they_are(path):
    Image.fromarray(RGB).save(path)
    np.testing.assert_array_equal(pictures.read(path, 3), RGB)
    Image.fromarray(RGB[..., 0]).save(path)
    np.testing.assert_array_equal(pictures.read(path, 1)[..., 0], RGB[..., 0])
    np.testing.assert_array_equal(pictures.read(path, 3), RGB[..., :1].repeat(3, -1))


def test_colours_become_grey_by_their_brightness(path):
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).save(path)
    assert pictures.read(path, 1)[0, :, 0].tolist() == [76, 150, 29]  # ITU-R 601


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_and_not_cut_off(path, channels):
    Image.fromarray(np.array([[0, 257, 0x8000, 0xFFFF]], np.uint16)).save(path)
    assert pictures.read(path, channels)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_what_is_transparent_shows_paper(path):
    values = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    Image.fromarray(values).save(path)
    assert pictures.read(path, 3)[0].tolist() == [[10, 20, 30], [255] * 3, [204] * 3]


def test_a_palette_shows_its_colours_and_its_transparent_one_paper(path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([9, 8, 7, 200, 100, 50, 1, 1, 1])
    image.save(path)
    assert pictures.read(path, 3)[0].tolist() == [[9, 8, 7], [200, 100, 50], [1, 1, 1]]
    image.save(path, transparency=1)
    assert pictures.read(path, 3)[0].tolist() == [[9, 8, 7], [255] * 3, [1, 1, 1]]


def test_one_bit_is_black_and_white(path):
    Image.fromarray(np.array([[True, False]])).save(path)
    assert pictures.read(path, 1)[0, :, 0].tolist() == [255, 0]


# The tag's number, and where the stored pixels [[1, 2, 3], [4, 5, 6]] then are (EXIF 2.3, 4.6.4).
ORIENTATIONS = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    6: [[4, 1], [5, 2], [6, 3]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize("tag", ORIENTATIONS)
def test_the_cameras_orientation_is_followed(path, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], np.uint8)).save(path, exif=exif)
    assert pictures.read(path, 1)[..., 0].tolist() == ORIENTATIONS[tag]


def test_a_folders_pictures_come_by_name_and_nothing_else(tmp_path):
    for name in ("b 2.JPG", "a.png", "é.jpeg", "B.png"):
        Image.fromarray(RGB).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.png").write_text("what a Mac leaves behind")
    names = [path.name for path in pictures.find(str(tmp_path))]
    assert names == ["B.png", "a.png", "b 2.JPG", "é.jpeg"]


@pytest.mark.parametrize(
    "damage", [b"", b"text", slice(40), slice(-30)], ids=["empty", "text", "begun", "cut"]
)
def test_a_picture_that_cannot_be_read_is_named(path, damage):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[damage] if isinstance(damage, slice) else damage)
    with pytest.raises(UserError, match=r"can be read; received .*a picture äö\.png"):
        pictures.find(str(path.parent))


def test_resizing_keeps_a_flat_picture_flat_and_the_channels():
    for channels in (1, 3):
        grown = pictures.resized(np.full((5, 9, channels), 77, np.uint8), 28, 32)
        assert grown.shape == (28, 32, channels)
        assert (grown == 77).all()


@pytest.mark.parametrize("size", [(28, 28), (1, 1), (3, 100)])
def test_paper_with_ink_in_the_middle_is_dark_on_light(size):
    paper = np.full((*size, 1), 250, np.uint8)
    assert not pictures.dark_on_light(paper)
    if min(size) > 1:
        paper[size[0] // 2, size[1] // 2] = 0
        assert pictures.dark_on_light(paper)
        assert not pictures.dark_on_light(255 - paper)
