"""Crops of photographs: seeded, from regions that do not overlap."""

import numpy as np
import pytest

from src.config import Photographs, parse
from src.data import sources
from src.data.sources import photographs

COLUMNS = [np.broadcast_to(np.arange(w)[None, :, None] % 256, (90, w, 3)) for w in (200, 240, 255)]


def load(**changes):
    words = {"train_crops": 30, "val_crops": 6, "test_crops": 6, **changes}
    return sources.load(parse(Photographs, {"name": "photographs", **words}))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("china", (427, 640, 3)), ("flower", (427, 640, 3)), ("hopper", (600, 512, 3))],
)
def test_the_photographs_are_those_of_the_packages(name, shape):
    assert photographs.read(name).shape[1:] == shape[1:]
    assert abs(photographs.read(name).shape[0] - shape[0]) <= 10


def test_crops_are_of_every_photograph_in_turn(tmp_path):
    data = load(height=24, width=40)
    assert data.classes == ("china", "flower", "hopper")
    assert data.image_shape == (24, 40, 3)
    assert data.splits["val"].targets.tolist() == [0, 1, 2, 0, 1, 2]


def test_no_column_is_in_two_splits():
    columns = {}
    for split in ("train", "val", "test"):
        found = photographs.crops(COLUMNS, split, 3000, (8, 8), 0)
        columns[split] = [
            set(np.unique(found.images[found.targets == label])) for label in range(3)
        ]
    for label, whole in enumerate(COLUMNS):
        parts = [columns[split][label] for split in columns]
        assert sum(map(len, parts)) == len(set.union(*parts)) == whole.shape[1]


def test_a_crop_is_the_same_whatever_the_number_and_another_with_another_seed():
    few, many, other = load(), load(train_crops=60), load(crop_seed=1)
    np.testing.assert_array_equal(few.splits["train"].images, many.splits["train"].images[:30])
    np.testing.assert_array_equal(few.splits["val"].images, many.splits["val"].images)
    assert few.digest == load().digest != other.digest


@pytest.mark.parametrize("change", [{"height": 77}, {"width": 7}, {"test_crops": 0}], ids=str)
def test_what_cannot_be_cut_is_refused(change):
    with pytest.raises(ValueError, match=rf"{next(iter(change))}: expected"):
        load(**change)
    assert load(height=76, width=76).image_shape == (76, 76, 3)
