"""Folders of pictures: which class and which split each is in, and what is wrong with a folder."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from src.config import ImageFolder, parse
from src.data import sources
from src.data.dataset import DataError
from src.data.pipeline import evaluation_batches
from src.data.sources import image_folder
from tests import test_command_line
from tests.batches import both, trained
from tests.commands import read, run
from tests.picture_folders import CLASSES, picture, write
from tests.test_resume import kill_and_resume


def settings(folder, **changes):
    words = {"height": 16, "width": 16, "val": 0.2, "test": 0.2, **changes}
    return parse(ImageFolder, {"name": "image_folder", "dir": str(folder), **words})


def load(folder, **changes):
    return sources.load(settings(folder, **changes))


def keys(folder, **changes):
    _, found, _ = image_folder.find(folder, settings(folder, **changes))
    return {split: [picture.key for picture in some] for split, some in found.items()}


def splits(folder, **changes):
    return {key: split for split, some in keys(folder, **changes).items() for key in some}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pictures") / "data")


def test_folders_are_the_classes_in_the_order_of_their_names(folder):
    data = load(folder)
    assert data.classes == CLASSES
    assert data.image_shape == (16, 16, 3)
    assert data.location == {"dir": str(folder), "names": list(CLASSES)}
    for split in data.splits.values():
        found = split.arrays()
        assert found.targets.dtype == np.int32
        # Each class has its own of blue, green and red.
        np.testing.assert_array_equal(found.images[:, -1, 0].argmax(axis=-1), 2 - found.targets)
    assert sum(map(len, data.splits.values())) == 60


def test_named_classes_are_taken_in_their_order(folder):
    data = load(folder, names=["red", "blue"])
    assert data.classes == ("red", "blue")
    labels = data.splits["train"].arrays().targets
    np.testing.assert_array_equal(data.splits["train"].class_counts(2)[0], np.bincount(labels))
    assert data.digest != load(folder, names=["blue", "red"]).digest


def test_the_hash_of_a_path_says_its_split():
    # The first 64 bits of `printf red/000.png | sha256sum`, as a part of 2^64.
    assert image_folder.place_of("red/000.png") == pytest.approx(0x570F9EDB756F75C2 / 2**64)


def test_val_is_the_first_share_of_the_places_and_test_the_next(folder):
    for split, some in keys(folder, val=0.3, test=0.25).items():
        for key in some:
            place = image_folder.place_of(key)
            assert split == ("val" if place < 0.3 else "test" if place < 0.55 else "train")


def test_shares_come_near_in_many_pictures():
    places = np.array([image_folder.place_of(f"rose/{i}.jpg") for i in range(20_000)])
    assert np.mean(places < 0.1) == pytest.approx(0.1, abs=0.01)


def test_what_is_added_taken_away_or_moved_moves_no_other_picture(folder, tmp_path):
    before = splits(folder)
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "data")
    assert splits(moved) == before
    for number in range(0, 20, 3):
        (moved / "green" / f"{number:03d}.png").unlink()
        Image.fromarray(picture(0, 100 + number)).save(moved / "red" / f"new{number}.png")
    after = splits(moved)
    assert len(after) == 60
    assert {key: after[key] for key in before if key in after} == {
        key: split for key, split in before.items() if key in after
    }


def test_variants_of_one_thing_come_to_one_split(folder, tmp_path):
    data = shutil.copytree(folder, tmp_path / "data")
    for path in sorted(data.glob("*/*.png")):
        shutil.copy(path, path.with_name(f"{path.stem}_dark.png"))
        shutil.copy(path, path.with_name(f"{path.stem}_a_b.png"))
    alone = splits(data)
    assert len({alone["red/003.png"], alone["red/003_dark.png"], alone["red/003_a_b.png"]}) >= 1
    together = splits(data, group="{group}_*")
    for name in CLASSES:
        for number in range(20):
            stem = f"{name}/{number:03d}"
            assert together[f"{stem}_dark.png"] == together[f"{stem}.png"]
    with pytest.raises(DataError, match=r"000\.png: expected names of .* like data\.group=x\{grou"):
        splits(folder, group="x{group}")


@pytest.mark.parametrize("given", [("train", "val", "test"), ("train", "test"), ("train", "val")])
def test_given_splits_stay_and_missing_ones_are_drawn_from_training(tmp_path, given):
    for part, split in enumerate(given):
        for name in CLASSES:
            for number in range(20):
                path = tmp_path / split / name / f"{number:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture(CLASSES.index(name), 20 * part + number)).save(path)
    found = keys(tmp_path)
    for split in ("train", "val", "test"):
        source = split if split in given else "train"
        assert {key.split("/")[0] for key in found[split]} == {source}
    assert sum(map(len, found.values())) == 60 * len(given)
    assert load(tmp_path).classes == CLASSES


def test_pictures_without_classes_are_one(tmp_path):
    write(tmp_path, 40, ["red"])
    for path in (tmp_path / "red").iterdir():
        path.rename(tmp_path / path.name)
    (tmp_path / "red").rmdir()
    data = load(tmp_path)
    assert data.classes == ("picture",)
    assert data.location == {"dir": str(tmp_path)}
    assert {label for split in data.splits.values() for label in split.arrays().targets} == {0}


def test_what_is_no_picture_by_its_ending_is_said(folder, tmp_path):
    data = shutil.copytree(folder, tmp_path / "data")
    for name in ("red/x.heic", "red/.DS_Store", "red/Thumbs.db", "notes.txt"):
        (data / name).touch()
    notice = load(data).notice
    assert re.match(r"2 files left out that are no pictures .*, such as /.*data/", notice)


@pytest.mark.parametrize("fit", ["crop", "pad", "resize"])
def test_a_resumed_run_sees_what_it_would_have_seen_held_or_streamed(tmp_path, fit):
    write(tmp_path, 40, sizes=((400, 300), (300, 500), (64, 64)))
    words = {"fit": fit, "scale": [0.8, 1.5], "colour": 0.3, "height": 160, "width": 160}
    held, streamed = (load(tmp_path, memory_budget=room, **words) for room in (2048, 1))
    kept = [sum(one is not None for one in d.splits["train"].store.kept) for d in (held, streamed)]
    assert kept[0] == len(held.splits["train"]) > kept[1]
    assert held.digest == streamed.digest
    whole, rest = (
        trained(held.splits["train"], batch_size=4),
        trained(streamed.splits["train"], 2, batch_size=4),
    )
    for (images, labels), (others, other_labels) in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)
    for one, other in zip(
        *(evaluation_batches(d.splits["test"], both) for d in (held, streamed)), strict=True
    ):
        np.testing.assert_array_equal(one[0], other[0])


def damaged(name):
    return lambda data: (data / name).write_bytes((data / name).read_bytes()[:-30])


def emptied(name):
    return lambda data: [path.unlink() for path in (data / name).iterdir()]


def copied(data):
    found = keys(data)
    shutil.copy(data / found["test"][0], data / found["val"][0])


def left_in(split):
    """Takes all red pictures away but those of a split."""

    def change(data):
        for path in set(data.glob("red/*")) - {data / key for key in keys(data)[split]}:
            path.unlink()

    return change


def unchanged(data):
    del data


# what happens to the folder, more words, what the line must say
MISTAKES = {
    "no folder given": (unchanged, "data.dir=null", "expected data.dir=, a folder of pictures; re"),
    "no such folder": (unchanged, "data.dir=nowhere", "received /.*/nowhere \\(No such file"),
    "an empty class": (
        emptied("green"),
        "",
        r"/data/green: expected pictures \(png, .*\) of each class; received none",
    ),
    "a class that is not there": (unchanged, "data.names=[red,rose]", "/data/rose: expected pictu"),
    "a class in training only": (
        left_in("train"),
        "",
        r"/red/\d+\.png: expected pictures of class red in train and in val or test; .* in train o",
    ),
    "a class in the test only": (left_in("test"), "", "received them in test only"),
    "a damaged picture": (damaged("red/003.png"), "", r"/red/003\.png: expected a whole picture"),
    "the same in two splits": (
        copied,
        "",
        r"\.png: expected a picture in one split only; received the same in test as /.*png in val",
    ),
    "a picture beside classes": (
        lambda data: shutil.copy(data / "red/000.png", data / "x.png"),
        "",
        r"/data/x\.png: expected pictures in folders of their classes only",
    ),
    "a folder beside splits": (
        lambda data: [(data / name).mkdir() for name in ("train", "test", "validation")],
        "",
        "/data/blue: expected folders train, val and test only",
    ),
    "nothing to train on": (unchanged, "data.val=0.5 data.test=0.5", "to leave something to train"),
    "a pattern without group": (unchanged, "data.group=a_*", "with {group} once .*=a_\\*"),
    "too many stars": (unchanged, "data.group=*a*{group}*b", "at most 2 \\*, .*=\\*a\\*{gro"),
    "one class": (unchanged, "data.names=[red]", "two classes or more for model=lenet_mnist"),
    "a class twice": (unchanged, "data.names=[red,red]", "data.names that differ; received 'red'"),
    "one side": (unchanged, "data.height=null", "data.height: expected"),
}


@pytest.mark.parametrize(("change", "words", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_answered_in_one_line(folder, tmp_path, change, words, line):
    shutil.copytree(folder, tmp_path / "data")
    change(tmp_path / "data")
    usual = "model=lenet_mnist data=image_folder data.dir=data data.val=0.2 data.test=0.2"
    test_command_line.refused(f"{usual} {words}", line, tmp_path)


def test_a_run_killed_and_resumed_is_the_one_left_alone_and_predicts_names(folder, tmp_path):
    words = f"model=lenet_mnist model.filters=4 data=image_folder data.dir={folder} data.val=0.2"
    words += " data.test=0.2 data.height=24 data.width=24 data.colour=0.2 data.scale=[0.9,1.2]"
    words += " trainer.class_weights=balanced trainer.batch_size=5 trainer.steps=40"
    words += " trainer.checkpoint_every=5"
    kill_and_resume(words, tmp_path)
    found = read(tmp_path / "whole" / "results.json")
    assert found["data"]["classes"] == list(CLASSES)
    counts = load(folder).splits["train"].class_counts(3)[0]
    assert found["class_weights"] == pytest.approx(counts.sum() / (3 * counts))
    run("src.predict", f"run=whole input={folder / 'green'} output=named", tmp_path)
    header, *rows = (tmp_path / "named" / "predictions.csv").read_text().splitlines()
    assert header == "file,label,confidence,blue,green,red"
    assert {row.split(",")[1] for row in rows} == {"green"}
