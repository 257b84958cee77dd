"""Any data set of TensorFlow Datasets: tiny ones, which TFDS itself prepares here."""

import re
import shutil

import numpy as np
import pytest

from src.config import Tfds, TfdsMasks, Train, parse
from src.data import download, sources
from src.data.dataset import DataError
from src.data.labelled import Varied
from src.data.pipeline import evaluation_batches, training_batches
from tests.batches import both
from tests.commands import read, run
from tests.test_resume import kill_and_resume
from tests.tiny_builders import (
    TinyColour,
    TinyGrey,
    TinyLetters,
    TinyMany,
    TinyMasks,
    TinySizes,
)

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data folder in which TFDS has prepared all of these."""
    root = tmp_path_factory.mktemp("tfds")
    two = tfds.download.DownloadConfig(num_shards=2)
    for builder in (TinyColour, TinyGrey, TinyMany, TinySizes, TinyMasks):
        builder(data_dir=root).download_and_prepare(download_config=two)
    for config in ("upper-case", "lower"):
        TinyLetters(data_dir=root, config=config).download_and_prepare()
    return root


def load(root, builder, **changes):
    words = {"name": "tfds", "builder": builder, "dir": str(root), "flip": False, **changes}
    return sources.load(parse(Tfds, words))


def official(builder, root, split):
    """The examples in TFDS' own order."""
    config = tfds.ReadConfig(interleave_cycle_length=1)
    return list(tfds.as_numpy(builder(data_dir=root).as_dataset(split=split, read_config=config)))


@pytest.mark.parametrize(
    ("builder", "name", "counts"),
    [
        (TinyColour, "tiny_colour", {"train": 18, "val": 2, "test": 6}),
        (TinyGrey, "tiny_grey", {"train": 30, "val": 10, "test": 10}),
    ],
    ids=["colour in two files", "grey with validation"],
)
def test_examples_are_those_that_tfds_reads(root, builder, name, counts):
    data = load(root, name)
    assert data.classes == ("cat", "dog", "emu")
    assert data.image_shape == builder.shape
    assert {split: len(part) for split, part in data.splits.items()} == counts
    ours = [data.splits[split].arrays() for split in ("train", "val", "test")]
    order = (
        ("train", "validation", "test")
        if "validation" in dict(builder.splits)
        else ("train", "test")
    )
    theirs = [example for split in order for example in official(builder, root, split)]
    wanted = np.stack([example["image"] for example in theirs])
    np.testing.assert_array_equal(np.concatenate([part.images for part in ours]), wanted)
    labels = [example["label"] for example in theirs]
    np.testing.assert_array_equal(np.concatenate([part.targets for part in ours]), labels)


def test_splits_of_other_names_and_many_classes_without_names(root):
    data = load(root, "tiny_many", train_split="train_full", test_split="holdout", val=0.2)
    assert {split: len(part) for split, part in data.splits.items()} == {
        "train": 240,
        "val": 60,
        "test": 10,
    }
    assert data.classes == tuple(map(str, range(300)))
    pictures, examples = data.splits["train"].class_counts(300)
    assert pictures.sum() == examples[0] == 240


def test_pictures_of_many_sizes_are_brought_to_one_and_cut_into_three(root):
    with pytest.raises(DataError, match=r"expected data\.height= and data\.width=, as its pictu"):
        load(root, "tiny_sizes")
    data = load(root, "tiny_sizes", height=16, width=12, channels=1)
    assert data.image_shape == (16, 12, 1)
    assert [len(part) for part in data.splits.values()] == [24, 3, 3]
    batches = list(evaluation_batches(data.splits["val"], both))
    assert batches[0][0].shape == (3, 16, 12, 1)


def test_pictures_that_are_alike_are_decoded_in_batches_to_the_same(root):
    fast, slow = (load(root, "tiny_colour", scale=scale, flip=True) for scale in (None, [1, 1]))
    assert isinstance(fast.splits["train"], Varied)
    pair = (training_batches(d.splits["train"], both, 4, 1, 0, 9) for d in (fast, slow))
    for one, other in zip(*pair, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    for split in ("val", "test"):
        ours, theirs = (d.splits[split].arrays() for d in (fast, slow))
        np.testing.assert_array_equal(ours.images, theirs.images)


def test_a_streamed_epoch_is_the_held_one(root):
    words = {"height": 200, "width": 200, "scale": [1, 2], "colour": 0.2}
    held, streamed = (
        load(root, "tiny_sizes", memory_budget=budget, **words) for budget in (2048, 1)
    )
    assert sum(one is not None for one in streamed.splits["train"].store.kept) < 24
    assert held.digest == streamed.digest
    pair = (training_batches(d.splits["train"], both, 4, 1, 0, 6) for d in (held, streamed))
    for one, other in zip(*pair, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("builder", "found"),
    [
        ("tiny_letters", "tiny_letters/upper-case:1.0.0"),
        ("tiny_letters/lower", "tiny_letters/lower:1.0.0"),
        ("tiny_letters/lower:1.0.0", "tiny_letters/lower:1.0.0"),
        ("tiny_letters:1.*.*", "tiny_letters/upper-case:1.0.0"),
        ("tiny_colour:1.0.0", "tiny_colour:1.0.0"),
    ],
)
def test_config_and_version_are_part_of_the_name(root, builder, found):
    location = load(root, builder).location
    assert (location["builder"], location["dir"]) == (found, str(root))
    assert load(root=location["dir"], builder=location["builder"]).location == location


def test_masks_have_the_classes_that_the_user_describes(root):
    words = {"name": "tfds_masks", "builder": "tiny_masks", "dir": str(root), "flip": False}
    words |= {"height": 32, "width": 40, "classes": 3, "first": 1}
    data = sources.load(parse(TfdsMasks, words))
    theirs = official(TinyMasks, root, "test")
    found = data.splits["test"].arrays()
    np.testing.assert_array_equal(found.images, [example["image"] for example in theirs])
    masks = [example["segmentation_mask"][..., 0] - 1 for example in theirs]
    np.testing.assert_array_equal(found.targets, masks)
    with pytest.raises(DataError, match=r"mask at byte \d+: expected labels 0 to 2; received l"):
        sources.load(parse(TfdsMasks, words | {"first": 0}))


MISTAKES = {
    "no builder": ({"builder": None}, r"expected data\.builder= as name, .*=null"),
    "code elsewhere": ({"builder": "huggingface:mnist"}, r"expected data\.builder= .*=hugg"),
    "a path": ({"builder": "../x"}, r"expected data\.builder= as name, .*received data\.bu"),
    "not there": ({"builder": "tiny_other"}, r"to hold tiny_other/<version>/dataset_info\.json"),
    "version": ({"builder": "tiny_colour:2.0.0"}, r"to hold tiny_colour/2\.0\.0/dataset_info"),
    "split": ({"test_split": "exam"}, r"expected a split exam to be test; received train, test"),
    "feature": (
        {"label": "species"},
        r"a feature species of kind ClassLabel; received image \(Image\), label \(ClassLabel\)",
    ),
    "names": ({"names": ["a", "b"]}, r"expected names of 3 classes; received 2 \(data\.names\)"),
    "shares": ({"val": 0.9, "test": 0.2}, "expected data.val and data.test to leave something"),
}


@pytest.mark.parametrize(("changes", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(root, changes, line):
    with pytest.raises(ValueError, match=line) as caught:
        load(root, **{"builder": "tiny_colour", **changes})
    assert "\n" not in str(caught.value)


DAMAGES = {
    "a stranger's class": (
        "features.json",
        lambda d: d.replace(b"tensorflow_datasets.core.features.image_feature", b"os.path"),
        "expected features of tensorflow_datasets itself, as no other code is run",
    ),
    "cut records": ("*train*00001*", lambda d: d[:-9], "expected whole records"),
    "missing names": ("label.labels.txt", lambda d: b"cat\ndog\n", "of 3 classes; received 2"),
    "fewer classes": (
        "features.json",
        lambda d: d.replace(b'"numClasses": "3"', b'"numClasses": "2"'),
        "expected names of 2 classes; received 3",
    ),
}


@pytest.mark.parametrize(("name", "change", "line"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_told_in_one_line(root, tmp_path, name, change, line):
    shutil.copytree(root / "tiny_colour", tmp_path / "tiny_colour")
    path = next((tmp_path / "tiny_colour").rglob(name))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=line) as caught:
        load(tmp_path, "tiny_colour")
    assert "\n" not in str(caught.value)


def test_a_label_beyond_the_classes_is_refused(root, tmp_path):
    shutil.copytree(root / "tiny_colour", tmp_path / "tiny_colour")
    next(tmp_path.rglob("label.labels.txt")).write_text("cat\ndog\n")
    path = next(tmp_path.rglob("features.json"))
    path.write_text(path.read_text().replace('"numClasses": "3"', '"numClasses": "2"'))
    with pytest.raises(DataError, match=r"expected labels 0 to 1 in split train; received 0 to 2"):
        load(tmp_path, "tiny_colour").read()
    with pytest.raises(DataError, match=r"byte .*: expected labels 0 to 1; received 2"):
        load(tmp_path, "tiny_colour", scale=[1, 2])


def test_what_is_not_prepared_is_downloaded_by_tfds_under_its_whole_name(tmp_path, monkeypatch):
    asked = []

    def offline(name, root):
        asked.append((name, root))
        raise download.DownloadError("no route")

    monkeypatch.setattr(download, "prepare", offline)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"emnist/letters is not prepared .*no route.*: set data"):
        sources.load(parse(Tfds, {"name": "tfds", "builder": "emnist/letters:3.1.0"}))
    assert asked == [("emnist/letters:3.1.0", tmp_path)]


def test_a_run_killed_and_resumed_is_the_one_left_alone(root, tmp_path):
    words = f"model=lenet_mnist model.filters=4 data=tfds data.builder=tiny_colour data.dir={root}"
    words += " trainer.batch_size=6 trainer.steps=40 trainer.checkpoint_every=5 data.flip=true"
    kill_and_resume(words, tmp_path)
    assert read(tmp_path / "whole" / "results.json")["data"]["image_shape"] == [8, 10, 3]
    run("src.eval", f"run=whole data=tfds data.builder=tiny_colour data.dir={root}", tmp_path)
    other = f"run=whole data=tfds data.builder=tiny_grey data.dir={root}"
    _, err = run("src.eval", other, tmp_path, status=2)
    assert re.fullmatch("error: expected data like the run's: 3 classes, .*28, 28, 1.*\n", err)


def test_fcn_is_trained_on_masks(root, tmp_path):
    words = f"model=fcn model.filters=2 data=tfds_masks data.builder=tiny_masks data.dir={root}"
    words += " data.classes=3 data.first=1 trainer.batch_size=4 trainer.steps=2 run_dir=run"
    run("src.train", words, tmp_path)
    found = read(tmp_path / "run" / "results.json")
    assert set(found["evaluations"]["best-test"]["class_iou"]) == {"0", "1", "2"}
    assert parse(Train, read_config(tmp_path / "run")).data.builder == "tiny_masks:1.0.0"


def read_config(folder):
    import yaml

    return yaml.safe_load((folder / "config.yaml").read_text())
