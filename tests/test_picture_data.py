"""Pictures of many sizes: the same examples from memory and from the files, in any order."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.config import MaskFolder
from src.data import sources
from src.data.dataset import DataError
from src.data.decode import Labels, decode
from src.data.examples import Split, counts_of
from src.data.images import decode as decode_image
from src.data.images import read as read_image
from src.data.pipeline import evaluation_batches, graph_errors
from tests.batches import both, trained
from tests.mask_folders import SPLITS, example, label, write

SIZES = (20, 30), (24, 18), (16, 40)


def settings(folder, **changes):
    words = {"classes": 3, "void": 9, "height": 16, "width": 16, **changes}
    return MaskFolder(name="mask_folder", dir=str(folder), **words)


def load(folder, **changes):
    return sources.load(settings(folder, **changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pictures"), SIZES)


def test_an_evaluation_sees_every_picture_at_its_own_size_once_and_in_order(folder):
    data = load(folder)
    assert data.image_shape == (None, None, 3)
    for split, count in SPLITS.items():
        batches = list(evaluation_batches(data.splits[split], both))
        assert len(batches) == count == len(data.splits[split])
        for number, (images, masks) in enumerate(batches):
            image, mask = example(*SIZES[number % 3], number)
            np.testing.assert_allclose(images.numpy(), image[None] / 255, rtol=1e-6)
            np.testing.assert_array_equal(masks.numpy(), mask[None], strict=True)


def test_pictures_of_one_size_are_evaluated_in_batches(tmp_path):
    data = load(write(tmp_path), height=None, width=None)
    assert data.image_shape == (20, 30, 3)
    ((images, masks),) = evaluation_batches(data.splits["train"], both)
    assert images.shape == (6, 20, 30, 3)
    assert masks.shape == (6, 20, 30)


def test_training_sees_crops_with_their_own_labels(folder):
    data = load(folder, scale=None)
    seen = Counter()
    for images, masks in trained(data.splits["train"]):
        assert images.shape == (2, 16, 16, 3)
        images = np.rint(images * 255).astype(np.uint8)
        np.testing.assert_array_equal(masks, label(images))
        seen.update(images[:, 0, 0, 2].tolist())
    # Two epochs of six pictures, each of which says its number.
    assert seen == dict.fromkeys(range(6), 2)


@pytest.mark.parametrize("start", [1, 3, 4])
def test_what_training_sees_from_a_step_on_is_that_of_the_whole_run(folder, start):
    train = load(folder, scale=[0.5, 2.0]).splits["train"]
    whole, rest = trained(train), trained(train, start)
    assert len(rest) == 6 - start
    for (images, masks), (others, other_masks) in zip(whole[start:], rest, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(masks, other_masks)
    assert not np.array_equal(whole[0][0], trained(train, seed=6)[0][0])


def test_pictures_that_find_no_room_are_decoded_to_the_same(tmp_path):
    # 300 KiB a picture and 100 KiB a mask: two of the six find room in a mebibyte.
    data = write(tmp_path, [(320, 320)])
    few, all_ = (load(data, memory_budget=budget) for budget in (1, 2048))
    kept = [sum(one is not None for one in d.splits["train"].store.kept) for d in (few, all_)]
    assert kept == [2, 6]
    assert not any(few.splits["val"].store.kept)
    assert few.digest == all_.digest
    for one, other in zip(*(trained(d.splits["train"]) for d in (few, all_)), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_a_file_that_vanishes_is_named(tmp_path):
    train = load(write(tmp_path, [(320, 320)]), memory_budget=1).splits["train"]
    (tmp_path / "train" / "05.png").unlink()
    line = r"/05\.png: expected to read it; received No such file"
    with pytest.raises(DataError, match=line), graph_errors():
        trained(train)


def test_a_few_examples_become_arrays_of_one_size(folder, tmp_path):
    train = load(folder).splits["train"]
    few = train[:4].arrays()
    assert few.images.shape == (4, 16, 16, 3)  # Of different sizes: all of the training size.
    assert few.targets.shape == (4, 16, 16)
    alike = train[np.array([0, 3])].arrays()
    image, mask = example(20, 30, 3)
    np.testing.assert_array_equal(alike.images[1], image)
    np.testing.assert_array_equal(alike.targets[1], mask)


def test_the_digest_is_of_the_files_and_not_of_their_place(folder, tmp_path):
    digest = load(folder).digest
    assert load(write(tmp_path / "moved", SIZES)).digest == digest
    other = write(tmp_path / "other", SIZES)
    mask = other / "valannot" / "01.png"
    Image.fromarray(1 - np.minimum(np.asarray(Image.open(mask)), 1)).save(mask)
    renamed = write(tmp_path / "renamed", SIZES)
    for kind in ("test", "testannot"):
        (renamed / kind / "03.png").rename(renamed / kind / "04.png")
    assert len({digest, load(other).digest, load(renamed).digest}) == 3


def test_class_counts_by_hand():
    masks = np.array([[[0, 0, 1], [0, 9, 9]], [[0, 1, 1], [1, 1, 1]], [[2, 9, 9], [9, 9, 9]]])
    split = Split(np.zeros((3, 2, 3, 3), np.uint8), masks.astype(np.uint8))
    pixels, area = split.class_counts(4)
    assert pixels.tolist() == [4, 6, 1, 0]
    # Classes 0 and 1 are in the first two masks, of 4 and 6 pixels that count.
    assert area.tolist() == [10, 10, 1, 0]


def test_pictures_count_classes_as_arrays_do(tmp_path):
    splits = load(write(tmp_path), height=None, width=None).splits
    train = splits["train"][:5]
    for one, other in zip(train.class_counts(3), train.arrays().class_counts(3), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    np.testing.assert_array_equal(counts_of(splits["train"].store.counts)[0].sum(), 6 * 600)


class Encoded:
    """A source that holds what it is given."""

    key = image = mask = "picture"


def png(array, mode=None, **options):
    data = io.BytesIO()
    picture = Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)
    picture.save(data, "png", **options)
    return data.getvalue()


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
RGB = np.repeat(80 * GREY[..., None], 3, axis=-1)


def palette(mask):
    picture = Image.fromarray(mask, "P")
    # Two entries of one colour: colours could not tell them apart.
    picture.putpalette([10, 20, 30, 10, 20, 30, 0, 0, 0])
    data = io.BytesIO()
    picture.save(data, "png")
    return data.getvalue()


def test_a_palette_is_read_by_number_and_grey_becomes_rgb():
    labels = Labels(3, None)
    for image in (png(RGB), png(RGB[..., 0]), png(RGB, "RGBA"), png(RGB, "LA")):
        for mask in (png(GREY), palette(GREY)):
            found, numbers = decode(Encoded(), (image, mask), labels, 1)
            np.testing.assert_array_equal(found, RGB, strict=True)
            np.testing.assert_array_equal(numbers, GREY, strict=True)


def test_labels_that_begin_at_one_and_a_void_beyond():
    labels = Labels(2, 2, first=1)
    _, numbers = decode(Encoded(), (png(RGB), png(GREY + 1)), labels, 1)
    np.testing.assert_array_equal(numbers, GREY, strict=True)
    with pytest.raises(DataError, match="expected labels 1 to 2 or 3 for void; received label 0"):
        decode(Encoded(), (png(RGB), png(GREY)), labels, 1)


MASKS = [
    (png(GREY, "1"), "8-bit grey or with a palette; received PNG of 1-bit grey"),
    (png(GREY, "RGB"), "received PNG of 8-bit RGB"),
    (png(GREY, "LA"), "received PNG of 8-bit grey with alpha"),
    (png(GREY.astype(np.uint16)), "received PNG of 16-bit grey"),
    (png(GREY[:2]), "expected 3x4 pixels like its image; received 2x4"),
    (png(GREY * 2), "expected labels 0 to 2; received label 4"),
]


@pytest.mark.parametrize(("mask", "line"), MASKS, ids=[line for _, line in MASKS])
def test_a_mask_of_another_kind_is_refused(mask, line):
    with pytest.raises(DataError, match=f"picture: .*{line}"):
        decode(Encoded(), (png(RGB), mask), Labels(3, None), 1)


def test_an_image_and_its_mask_are_turned_upright_each_by_its_own_notes():
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    image, turned = png(pixels), png(pixels, exif=upside_down)
    mask, turned_mask = png(GREY), png(GREY, exif=upside_down)
    for first, second in ((image, mask), (turned, mask), (image, turned_mask)):
        found, numbers = decode(Encoded(), (first, second), Labels(3, None), 1)
        step = -1 if first is turned else 1
        np.testing.assert_array_equal(found, pixels[::step, ::step])
        step = -1 if second is turned_mask else 1
        np.testing.assert_array_equal(numbers, GREY[::step, ::step])


def test_training_and_prediction_see_the_same_pixels(tmp_path):
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6
    write(tmp_path, [(20, 30)])
    paths = sorted((tmp_path / "train").glob("*.png"))
    with Image.open(paths[0]) as image:
        clear = image.convert("RGBA")
    clear.putalpha(100)
    clear.save(paths[0])
    with Image.open(paths[1]) as image:
        image.convert("P").save(paths[1])
    with Image.open(paths[2]) as image:
        deep = np.asarray(image.convert("L")).astype(np.uint16) * 257 + 100
    Image.fromarray(deep).save(paths[2])
    with Image.open(paths[3]) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(paths[3], exif=on_its_side)
    train = load(tmp_path).splits["train"]
    for number, path in enumerate(paths):
        found, _ = train.store.example(number)
        np.testing.assert_array_equal(found, decode_image(read_image(path), path, 3, 1))
    np.testing.assert_array_equal(train.store.example(3)[0], example(20, 30, 3)[0])


def test_a_jpeg_is_read_as_pillow_reads_it(tmp_path):
    write(tmp_path)
    for path in Path(tmp_path / "train").glob("*.png"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".JPG"), "jpeg")
        path.unlink()
    train = load(tmp_path).splits["train"]
    with Image.open(tmp_path / "train" / "02.JPG") as image:
        np.testing.assert_array_equal(train[2:3].arrays().images[0], np.asarray(image))
