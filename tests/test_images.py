"""Pictures of every mode and format, read as a viewer shows them; damage told in one line."""

import io
import os
import socket
import struct
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageCms

from src.data import images
from src.data.dataset import DataError
from src.data.metadata import orientation

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14


def read(path, channels=3, max_megapixels=1):
    return images.decode(images.read(path), path, channels, max_megapixels)


def encoded(array, kind="PNG", **options):
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind, **options)
    return data.getvalue()


def decoded(data, channels=3, max_megapixels=1):
    return images.decode(data, "it", channels, max_megapixels)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a picture äö.png"


def test_eight_bits_come_as_they_are(path):
    Image.fromarray(RGB).save(path)
    np.testing.assert_array_equal(read(path, 3), RGB)
    Image.fromarray(RGB[..., 0]).save(path)
    np.testing.assert_array_equal(read(path, 1)[..., 0], RGB[..., 0])
    np.testing.assert_array_equal(read(path, 3), RGB[..., :1].repeat(3, -1))


def test_colours_become_grey_by_their_brightness(path):
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).save(path)
    assert read(path, 1)[0, :, 0].tolist() == [76, 150, 29]  # ITU-R 601


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_and_not_cut_off(path, channels):
    Image.fromarray(np.array([[0, 257, 0x8000, 0xFFFF]], np.uint16)).save(path)
    assert read(path, channels)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_what_is_transparent_shows_paper(path):
    values = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    Image.fromarray(values).save(path)
    assert read(path, 3)[0].tolist() == [[10, 20, 30], [255] * 3, [204] * 3]


def test_a_palette_shows_its_colours_and_its_transparent_one_paper(path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([9, 8, 7, 200, 100, 50, 1, 1, 1])
    image.save(path)
    assert read(path, 3)[0].tolist() == [[9, 8, 7], [200, 100, 50], [1, 1, 1]]
    image.save(path, transparency=1)
    assert read(path, 3)[0].tolist() == [[9, 8, 7], [255] * 3, [1, 1, 1]]


def test_one_bit_is_black_and_white(path):
    Image.fromarray(np.array([[True, False]])).save(path)
    assert read(path, 1)[0, :, 0].tolist() == [255, 0]


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
    assert read(path, 1)[..., 0].tolist() == ORIENTATIONS[tag]


# Lossless, so that the pixels are known; JPEG is near enough to tell a format that is not read.
LOSSLESS = {"PNG": {}, "BMP": {}, "GIF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", images.FORMATS)
@pytest.mark.parametrize("ending", images.ENDINGS)
def test_a_file_is_known_by_its_contents_not_by_its_name(tmp_path, kind, ending):
    path = tmp_path / f"x{ending}"
    path.write_bytes(encoded(np.full((8, 8, 3), 102, np.uint8), kind, **LOSSLESS.get(kind, {})))
    np.testing.assert_allclose(read(path), 102, atol=0 if kind in LOSSLESS else 3)


def test_a_palette_with_transparency_makes_no_noise(recwarn):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([9, 8, 7, 200, 100, 50, 1, 1, 1])
    data = io.BytesIO()
    image.save(data, "PNG", transparency=bytes([255, 0, 51]))
    with np.errstate(all="raise"):
        assert decoded(data.getvalue())[0].tolist() == [[9, 8, 7], [255] * 3, [204] * 3]
    # pytest collects what the program's own filter would hold back.
    assert {w.category for w in recwarn} <= {UserWarning}


def test_sixteen_bits_with_a_transparent_level_show_paper_there():
    data = encoded(np.array([[0, 257, 0xFFFF]], np.uint16), transparency=257)
    assert decoded(data, 1)[0, :, 0].tolist() == [0, 255, 255]


def test_an_entry_beyond_the_palette_costs_nothing_but_its_pixel():
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([9, 8, 7, 1, 2, 3])
    data = io.BytesIO()
    image.save(data, "PNG", bits=8, transparency=bytes([255, 255]))
    beyond = chunks(data.getvalue(), IDAT=zlib.compress(bytes([0, 0, 7])))
    assert decoded(beyond)[0, 0].tolist() == [9, 8, 7]


def test_print_colours_become_red_green_and_blue():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    data = io.BytesIO()
    cmyk.save(data, "JPEG", quality=100)
    np.testing.assert_allclose(decoded(data.getvalue())[0, 0], [255, 0, 0], atol=6)


def exchanged():
    """A profile in which red and blue have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "sBGR".encode("utf-16-be"))
    for one, other in ((b"rXYZ", b"bXYZ"), (b"rTRC", b"bTRC")):
        profile = profile.replace(one, b"----").replace(other, one).replace(b"----", other)
    return profile


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_colour_profile_is_followed(kind):
    red = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    options = {"quality": 100} if kind == "JPEG" else LOSSLESS[kind]
    found = decoded(encoded(red, kind, icc_profile=exchanged(), **options))
    np.testing.assert_allclose(found[0, 0], [0, 0, 255], atol=3)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = decoded(encoded(red, kind, icc_profile=own, **options))
    np.testing.assert_allclose(found[0, 0], [255, 0, 0], atol=3)


def test_a_profile_leaves_what_is_transparent_to_the_paper():
    values = np.array([[[255, 0, 0, 255], [255, 0, 0, 0]]], np.uint8)
    found = decoded(encoded(values, icc_profile=exchanged()))
    np.testing.assert_allclose(found[0], [[0, 0, 255], [255, 255, 255]], atol=1)


NOISE = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_whatever_the_cameras_notes_are_the_pixels_are_whole(kind):
    random = np.random.default_rng(1)
    whole = Image.Exif()
    whole[0x0112], whole[0x011A], whole[0x010F] = 1, 72.0, "maker"
    notes = bytearray(b"Exif\0\0" + whole.tobytes().removeprefix(b"Exif\0\0"))
    wanted = decoded(encoded(NOISE, kind, **LOSSLESS.get(kind, {})))
    for _ in range(2000):
        damaged = bytearray(notes[: random.integers(6, len(notes) + 1)])
        for place in random.integers(6, len(notes), 4):
            damaged[place : place + 1] = random.bytes(1)
        data = encoded(NOISE, kind, exif=bytes(damaged), **LOSSLESS.get(kind, {}))
        turned = orientation(bytes(damaged))
        found = decoded(data)
        assert found.shape[:2] in ((12, 10), (10, 12))
        if turned == 1:
            np.testing.assert_array_equal(found, wanted)


def test_a_negative_rational_in_the_cameras_notes_is_none_of_our_business():
    # Little-endian, two notes: a signed rational under an unsigned tag, and the orientation.
    notes = b"II*\0\x08\0\0\0" + struct.pack("<H", 2)
    notes += struct.pack("<HHII", 0x011A, 10, 1, 38) + struct.pack("<HHIHH", 0x0112, 3, 1, 3, 0)
    notes += struct.pack("<I", 0) + struct.pack("<ii", -72, 1)
    for kind in ("PNG", "JPEG"):
        found = decoded(encoded(NOISE, kind, exif=b"Exif\0\0" + notes))
        np.testing.assert_array_equal(found[::-1, ::-1], decoded(encoded(NOISE, kind)))


def chunks(data, **changed):
    """A PNG with other contents in some of its chunks, or chunks before its pixels."""
    found, start, kinds = data[:8], 8, {}
    while start < len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        kinds[kind.decode()] = data[start + 8 : start + 8 + length]
        start += 12 + length
    order = ["IHDR", *(k for k in {**changed, **kinds} if k not in ("IHDR", "IDAT", "IEND"))]
    for kind in (*order, "IDAT", "IEND"):
        content = changed.get(kind, kinds.get(kind))
        found += struct.pack(">I", len(content)) + kind.encode() + content
        found += struct.pack(">I", zlib.crc32(kind.encode() + content))
    return found


def bomb(size):
    squeeze = zlib.compressobj(9)
    return b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(size)) + squeeze.flush()


def test_what_swells_beside_the_pixels_takes_no_memory():
    huge = bomb(256)
    data = chunks(encoded(NOISE), zTXt=b"a\0\0" + huge, iCCP=b"b\0\0" + huge)
    data = chunks(data, iTXt=b"c\0\1\0\0\0" + huge)
    tracemalloc.start()
    np.testing.assert_array_equal(decoded(data), NOISE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20


def test_a_damaged_check_sum_of_a_note_costs_nothing():
    data = chunks(encoded(NOISE), eXIf=b"II*\0", tEXt=b"a\0b", iCCP=b"x\0\0junk")
    for kind in (b"eXIf", b"tEXt", b"iCCP"):
        place = data.index(kind) + 4
        length = int.from_bytes(data[place - 8 : place - 4], "big")
        data = data[: place + length] + b"\0\0\0\0" + data[place + length + 4 :]
    np.testing.assert_array_equal(decoded(data), NOISE)


def sized(kind, height, width):
    """A small file of 2x3 pixels whose header says another size."""
    data = bytearray(encoded(RGB, kind))
    if kind == "PNG":
        return chunks(bytes(data), IHDR=struct.pack(">II", width, height) + data[24:29])
    if kind == "JPEG":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", height, width)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    else:
        data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(kind):
    tracemalloc.start()
    with pytest.raises(DataError, match=r"at most 100 million pixels .* received 20000x6000"):
        decoded(sized(kind, 6000, 20000), max_megapixels=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_as_many_pixels_as_are_allowed_are_read():
    data = encoded(np.zeros((1000, 1000), np.uint8))
    assert decoded(data, 1, max_megapixels=1).shape == (1000, 1000, 1)
    with pytest.raises(DataError, match="at most 1 million pixels"):
        decoded(encoded(np.zeros((1000, 1001), np.uint8)), 1, max_megapixels=1)


@pytest.mark.parametrize("kind", images.FORMATS)
def test_damage_anywhere_is_a_picture_or_one_line(kind):
    random = np.random.default_rng(2)
    data = encoded(NOISE, kind, **({"icc_profile": exchanged()} if kind != "BMP" else {}))
    for _ in range(500):
        damaged = bytearray(data[: random.integers(1, len(data) + 1)])
        for place in random.integers(0, len(damaged), 3):
            damaged[place] = random.integers(0, 256)
        with suppress(DataError):
            assert decoded(bytes(damaged)).shape[-1] == 3


@pytest.mark.parametrize(
    "damage", [b"", b"text", slice(40), slice(-30)], ids=["empty", "text", "begun", "cut"]
)
def test_a_picture_that_cannot_be_read_is_named(path, damage):
    whole = encoded(NOISE)
    path.write_bytes(whole[damage] if isinstance(damage, slice) else damage)
    with pytest.raises(DataError, match=r"a picture äö\.png: expected a .*picture.*; received"):
        read(path)


def pipe(path):
    os.mkfifo(path)


def listening(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def device(path):
    path.symlink_to("/dev/zero")


THINGS = [(pipe, "a pipe"), (listening, "No such device"), (device, "a device")]


@pytest.mark.parametrize(("make", "line"), THINGS, ids=["pipe", "socket", "device"])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, make, line):
    make(tmp_path / "x.png")
    with pytest.raises(DataError, match=f"x.png: expected .*; received {line}"):
        read(tmp_path / "x.png")


def test_resizing_keeps_a_flat_picture_flat_and_the_channels():
    for channels in (1, 3):
        grown = images.resized(np.full((5, 9, channels), 77, np.uint8), 28, 32)
        assert grown.shape == (28, 32, channels)
        assert (grown == 77).all()


@pytest.mark.parametrize("size", [(28, 28), (1, 1), (3, 100)])
def test_paper_with_ink_in_the_middle_is_dark_on_light(size):
    paper = np.full((*size, 1), 250, np.uint8)
    assert not images.dark_on_light(paper)
    if min(size) > 1:
        paper[size[0] // 2, size[1] // 2] = 0
        assert images.dark_on_light(paper)
        assert not images.dark_on_light(255 - paper)
