"""Folders of TensorFlow Datasets: read as TFDS reads them, and damage told in one line."""

import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.data import prepared, tfds_info
from src.data.dataset import DataError
from src.data.examples import Split
from src.data.splits import digest_of
from src.data.streamed import Streamed

tf = pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

REAL = Path(__file__).resolve().parents[2] / "shared" / "tensorflow_datasets"
TRAIN = "mnist-train.tfrecord-00000-of-00001"
HELD, STREAMED = 2048, 0
LABELS = {"train": [7, 2, 1, 0, 4, 1, 4], "test": [9, 5]}


def record(image: np.ndarray, label: int) -> bytes:
    png = tf.io.encode_png(image).numpy()
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def pictures(split: str) -> np.ndarray:
    random = np.random.default_rng(len(split))
    return random.integers(0, 256, (len(LABELS[split]), 28, 28, 1), np.uint8)


def write_records(path: Path, records: list[bytes]) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in records:
            writer.write(one)


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    """`mnist` of nine examples, described by TFDS itself."""
    folder = tmp_path_factory.mktemp("tfds") / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for split, labels in LABELS.items():
        records = [record(*pair) for pair in zip(pictures(split), labels, strict=True)]
        write_records(folder / f"mnist-{split}.tfrecord-00000-of-00001", records)
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(28, 28, 1)),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        ),
        split_infos=[
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(labels)],
                num_bytes=0,
                filename_template=tfds.core.ShardedFileTemplate(
                    dataset_name="mnist",
                    data_dir=folder,
                    split=split,
                    filetype_suffix="tfrecord",
                    template=template,
                ),
            )
            for split, labels in LABELS.items()
        ],
    )
    return folder


@pytest.fixture
def folder(sample, tmp_path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "mnist" / "3.0.1"))


def test_reads_the_official_splits_in_their_order(sample):
    splits = prepared.read(sample, HELD)
    assert list(splits) == ["train", "test"]
    for split, labels in LABELS.items():
        np.testing.assert_array_equal(splits[split].images, pictures(split), strict=True)
        assert splits[split].targets.tolist() == labels
        assert splits[split].targets.dtype == np.int32


def test_within_the_budget_examples_are_held_beyond_it_they_stay_in_their_files(sample):
    # 9 examples of 788 bytes are less than a mebibyte.
    assert isinstance(prepared.read(sample, 1)["train"], Split)
    held, streamed = prepared.read(sample, HELD), prepared.read(sample, STREAMED)
    for split in LABELS:
        assert isinstance(streamed[split], Streamed)
        assert digest_of(streamed[split]) == digest_of(held[split])


def test_only_the_split_that_is_asked_for_is_read(folder):
    (folder / TRAIN).unlink()
    assert len(prepared.read(folder, HELD)["test"]) == 2


def test_finds_the_newest_finished_version(tmp_path):
    for version in ("2.9.0", "2.10.0", "3.0.1.incompleteAB12CD", "latest"):
        (tmp_path / "mnist" / version).mkdir(parents=True)
        (tmp_path / "mnist" / version / "dataset_info.json").touch()
    (tmp_path / "mnist" / "4.0.0").mkdir()
    assert prepared.find(tmp_path, "mnist") == tmp_path / "mnist" / "2.10.0"
    assert prepared.find(tmp_path, "fashion_mnist") is None
    assert prepared.find(tmp_path / "absent", "mnist") is None


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def describe(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "dataset_info.json"
        info = json.loads(path.read_text())
        change(info)
        path.write_text(json.dumps(info))

    return damage


def middle(data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 0xFF]) + data[half + 1 :]


def other_records(make: Callable[[], list[bytes]]) -> Callable[[Path], None]:
    return lambda folder: write_records(folder / TRAIN, make())


GREY = np.zeros((28, 28, 1), np.uint8)
PNG = b"\x89PNG\r\n\x1a\n"

BAD = [
    ("truncated records", edit(TRAIN, lambda d: d[: len(d) // 2]), "truncated record"),
    ("changed byte", edit(TRAIN, middle), "corrupted record"),
    ("no records", edit(TRAIN, lambda d: b""), "7 examples in split train, at least one.* 0"),
    ("no file of records", lambda f: (f / TRAIN).unlink(), "No such file"),
    ("a record is missing", other_records(lambda: [record(GREY, 1)] * 6), "7 examples .* 6"),
    ("a record too many", other_records(lambda: [record(GREY, 1)] * 8), "7 examples .* 8"),
    ("label 10", other_records(lambda: [record(GREY, 10)] * 7), "labels 0 to 9 .* 10 to 10"),
    ("label -1", other_records(lambda: [record(GREY, -1)] * 7), "labels 0 to 9 .* -1 to -1"),
    ("other size", other_records(lambda: [record(GREY[:27], 1)] * 7), "PNG images of 28x28 pixels"),
    (
        "broken picture",
        other_records(lambda: [record(GREY, 1).replace(PNG, b"\x89PNG\r\n\x1a\r")] * 7),
        "readable records .* received",
    ),
    ("other records", other_records(lambda: [b"\x0a\x00"] * 7), "readable records .* received"),
    ("damaged description", edit("dataset_info.json", lambda d: d[:-9]), "readable description"),
    ("no features", lambda f: (f / "features.json").unlink(), "No such file"),
    (
        "no test split",
        describe(lambda i: i["splits"].pop()),
        r"splits train and test .*received splits \['train'\]",
    ),
    (
        "count that lies",
        describe(lambda i: i["splits"][0].update(shardLengths=[str(10**12)])),
        "1,000,000,000,000 examples in split train, at least one; received 7",
    ),
    (
        "other features",
        edit("features.json", lambda d: d.replace(b'"28"', b'"32"')),
        r"features \{'image': \('Image', \(28, 28, 1\).*received .* \(32, 32, 1\)",
    ),
    ("other format", describe(lambda i: i.update(fileFormat="riegeli")), "tfrecord"),
]


@pytest.mark.parametrize("budget", [HELD, STREAMED])
@pytest.mark.parametrize(("damage", "line"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_damage_is_told_in_one_line_with_the_folder(folder, damage, line, budget):
    damage(folder)
    with pytest.raises(DataError, match=line) as caught:
        prepared.read(folder, budget)["train"].arrays()
    message = str(caught.value)
    assert re.match(f"{re.escape(str(folder))}[^:]*: expected .*; received", message)
    assert "\n" not in message
    assert len(message) < 600


def features(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "features.json"
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return damage


def fifo(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def outside(folder: Path) -> None:
    (folder.parent / "x.tfrecord").write_bytes((folder / TRAIN).read_bytes())
    describe(lambda i: i["splits"][0].update(filepathTemplate="../x.tfrecord"))(folder)


def of_class(name: str) -> Callable[[Path], None]:
    return features(lambda f: f["featuresDict"]["features"]["label"].update(pythonClassName=name))


def gigabytes() -> list[bytes]:
    """Records whose pictures say that they have 2^30 pixels."""
    sizes = struct.pack(">II", 28, 28), struct.pack(">II", 1 << 15, 1 << 15)
    return [record(GREY, 1).replace(*sizes)] * 7


FORGED = [
    (
        "a stranger's class",
        of_class("theirs.module.Label"),
        "itself, .* 'theirs.module",
    ),
    ("a class beside ours", of_class("tensorflow_datasets_x.y.Label"), "datasets_x.y"),
    (
        "a stranger's class deep inside",
        features(lambda f: f.update(more=[{"sequence": {"pythonClassName": "theirs.Deep"}}])),
        "theirs.Deep",
    ),
    ("another kind of feature", of_class("tensorflow_datasets.core.features.text.Text"), "'Text'"),
    ("a file outside", outside, r"names of files in the folder; received '\.\./x.tfrecord'"),
    ("a pipe of records", fifo(TRAIN), "regular file; received a pipe"),
    ("a pipe of a description", fifo("features.json"), "regular file; received a pipe"),
    (
        "a folder of records",
        lambda f: (f / TRAIN).unlink() or (f / TRAIN).mkdir(),
        "regular file; received a folder",
    ),
    ("a large description", edit("dataset_info.json", lambda d: d + b" " * (5 << 20)), "at most"),
    ("deep", edit("features.json", lambda d: b"[" * 100_000), "readable description"),
    ("a list", edit("features.json", lambda d: b"[]"), "readable description"),
    ("no text", edit("dataset_info.json", lambda d: b"\xff" + d), "readable description"),
    ("a record of 2^60 bytes", edit(TRAIN, lambda d: struct.pack("<Q", 1 << 60) + d[8:]), "whole"),
    ("pictures of gigabytes", other_records(gigabytes), "PNG images of 28x28 pixels"),
]


@pytest.mark.parametrize("budget", [HELD, STREAMED], ids=["held", "streamed"])
@pytest.mark.parametrize(("forge", "line"), [f[1:] for f in FORGED], ids=[f[0] for f in FORGED])
def test_a_strangers_folder_runs_nothing_and_does_not_hang(folder, forge, line, budget):
    forge(folder)
    with pytest.raises(DataError, match=line) as caught:
        prepared.read(folder, budget)["train"].arrays()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_code_in_a_folder_is_not_imported(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    for name in ("mnist.py", "theirs.py", "mnist_dataset_builder.py", "__init__.py"):
        (folder / name).write_text("raise SystemExit('ran')")
    describe(lambda i: i.update(moduleName="mnist"))(folder)
    assert len(prepared.read(folder, HELD)["train"]) == 7
    of_class("theirs.Label")(folder)
    with pytest.raises(DataError, match=r"received 'theirs\.Label'"):
        prepared.read(folder, HELD)


def test_what_older_versions_of_tfds_have_written_is_read(folder):
    own = "tensorflow_datasets.core.features."
    image = {"shape": [28, 28, 1], "dtype": "uint8", "encoding_format": "png"}
    content = {
        "image": {"type": f"{own}image_feature.Image", "content": image},
        "label": {"type": f"{own}class_label_feature.ClassLabel", "content": {"num_classes": 10}},
    }
    older = {"type": f"{own}features_dict.FeaturesDict", "content": content}
    (folder / "features.json").write_text(json.dumps(older))
    describe(lambda i: [split.pop("filepathTemplate") for split in i["splits"]])(folder)
    assert prepared.read(folder, HELD)["train"].targets.tolist() == LABELS["train"]


def test_files_are_named_as_tfds_names_them(folder):
    for template in ("{SPLIT}-{SHARD_INDEX}.of{NUM_SHARDS}", "{DATASET}.{SPLIT}.{SHARD_X_OF_Y}"):
        describe(
            lambda i, template=template: i["splits"][0].update(
                filepathTemplate=template, shardLengths=["3"] * 120
            )
        )(folder)
        theirs = tfds.builder_from_directory(folder).info.splits["train"]
        ours = tfds_info.describe(folder).splits["train"]
        assert [str(path) for path in ours.paths] == [str(path) for path in theirs.filepaths]
        assert ours.count == theirs.num_examples


@pytest.mark.skipif(not REAL.is_dir(), reason=f"MNIST is not prepared in {REAL}")
def test_mnist_is_read_as_tfds_reads_it():
    path = prepared.find(REAL, "mnist")
    assert path is not None
    splits = prepared.read(path, HELD)
    # Known of MNIST: the counts of its digits, and the mean grey value of its training set.
    train, test = splits["train"], splits["test"]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(train.targets).tolist() == counts
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(test.targets).tolist() == counts
    assert round(train.images.mean() / 255, 4) == 0.1307
    config = tfds.ReadConfig(try_autocache=False, shuffle_seed=None)
    builder = tfds.builder("mnist", data_dir=REAL)
    own = next(iter(builder.as_dataset(split="test", batch_size=10_000, read_config=config)))
    np.testing.assert_array_equal(test.images, own["image"].numpy())
    np.testing.assert_array_equal(test.targets, own["label"].numpy())
