"""Oxford-IIIT Pet from a folder of TensorFlow Datasets, and what is wrong with one."""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.config import OxfordPet
from src.data import download, sources
from src.data.dataset import DataError
from src.data.pipeline import evaluation_batches
from src.data.sources.oxford_iiit_pet import Record
from src.data.tfrecords import Files

tf = pytest.importorskip("tensorflow")
tfds = pytest.importorskip("tensorflow_datasets")

SHARDS = {"train": [3, 2], "test": [2]}
SIZES = (30, 40), (50, 35), (33, 33)


def picture(number):
    """A smooth image, as JPEG keeps it, and a trimap: 1 inside, 3 around, 2 elsewhere."""
    height, width = SIZES[number % 3]
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 2, columns * 2, np.full_like(rows, 30 * number)], axis=-1)
    distance = abs(rows - height // 2) + abs(columns - width // 2)
    trimap = np.select([distance < 6 + number, distance < 9 + number], [1, 3], 2)
    return image.astype(np.uint8), trimap.astype(np.uint8)


def encoded(array, kind):
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind)
    return data.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data folder that TFDS itself has written, with this data set's own features."""
    root = tmp_path_factory.mktemp("tfds")
    folder = root / "oxford_iiit_pet" / "4.0.0"
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1), use_colormap=True),
            "file_name": tfds.features.Text(),
        }
    )
    infos, number = [], 0
    for split, lengths in SHARDS.items():
        template = tfds.core.ShardedFileTemplate(
            dataset_name="oxford_iiit_pet",
            data_dir=folder,
            split=split,
            filetype_suffix="tfrecord",
            template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        )
        for shard, length in enumerate(lengths):
            path = template.sharded_filepath(shard_index=shard, num_shards=len(lengths))
            with tf.io.TFRecordWriter(str(path)) as writer:
                for _ in range(length):
                    image, trimap = picture(number)
                    example = {
                        "image": io.BytesIO(encoded(image, "jpeg")),
                        "segmentation_mask": trimap[..., None],
                        "file_name": f"{number}.jpg",
                    }
                    writer.write(features.serialize_example(features.encode_example(example)))
                    number += 1
        infos.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=lengths, num_bytes=0, filename_template=template
            )
        )
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=infos)
    return root


def load(root, **changes):
    words = {"height": 16, "width": 16, "fit": "resize", "val_examples": 2, **changes}
    return sources.load(OxfordPet(name="oxford_iiit_pet", dir=str(root), **words))


def test_the_last_training_examples_are_the_validation_set(root):
    data = load(root)
    assert data.classes == ("pet", "background", "border")
    assert data.void is None
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 3,
        "val": 2,
        "test": 2,
    }
    number = 0
    for split in ("train", "val", "test"):
        for images, masks in evaluation_batches(data.splits[split], lambda *pair: pair):
            image, trimap = picture(number)
            # JPEG comes back almost as it was.
            np.testing.assert_allclose(255 * images.numpy()[0], image, atol=12)
            np.testing.assert_array_equal(masks.numpy()[0], trimap - 1)
            number += 1
    assert number == 7


def test_pictures_are_those_that_tfds_reads(root):
    builder = tfds.builder_from_directory(root / "oxford_iiit_pet" / "4.0.0")
    config = tfds.ReadConfig(interleave_cycle_length=1)
    official = builder.as_dataset(split="train", read_config=config)
    splits = load(root).splits
    ours = [*splits["train"].store.sources, *splits["val"].store.sources]
    for source, theirs in zip(ours, official, strict=True):
        image, mask = (np.asarray(Image.open(io.BytesIO(data))) for data in source.read())
        # Two decoders of JPEG may differ in the last bits.
        np.testing.assert_allclose(image.astype(int), theirs["image"].numpy(), atol=3)
        np.testing.assert_array_equal(mask, theirs["segmentation_mask"].numpy()[..., 0])


def test_the_border_may_be_void(root):
    data = load(root, border="void")
    assert data.classes == ("pet", "background")
    assert data.void == 2
    thirds, halves = load(root).splits["train"], data.splits["train"]
    np.testing.assert_array_equal(halves[:1].arrays().targets, thirds[:1].arrays().targets)
    pixels, _ = halves.class_counts(2)
    np.testing.assert_array_equal(pixels, thirds.class_counts(3)[0][:2])


def damaged(root, tmp_path, name, change):
    shutil.copytree(root, tmp_path / "root")
    path = next((tmp_path / "root").rglob(name))
    path.write_bytes(change(path.read_bytes()))
    return tmp_path / "root"


def forged(data, old, new):
    """Records with something exchanged in them and the checksums that belong to that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_bytes(data)
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record.replace(old, new))
        return path.read_bytes()


DAMAGES = [
    ("*train*00000*", lambda d: d[:-9], "expected whole records; received a file that ends inside"),
    ("*train*00001*", lambda d: b"", "expected 5 examples in split train, .*; received 3"),
    ("*test*", lambda d: d.replace(b"segmentation_mask", b"segmentation_mist"), "corrupted record"),
    ("*test*", lambda d: forged(d, b"segmentation_mask", b"segmentation_mist"), "received Inde"),
    ("*test*", lambda d: forged(d, b"\xff\xd8\xff", b"\xff\xd9\xff"), "image at byte 12: expected"),
    ("dataset_info.json", lambda d: d[:-9], "expected a readable description"),
    ("features.json", lambda d: d.replace(b'"segmentation_mask"', b'"mask"'), "of images image"),
]


@pytest.mark.parametrize(("name", "change", "line"), DAMAGES, ids=[d[2] for d in DAMAGES])
def test_damage_is_told_in_one_line(root, tmp_path, name, change, line):
    with pytest.raises(DataError, match=line) as caught:
        load(damaged(root, tmp_path, name, change))
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_too_large_a_validation_set_is_refused(root):
    with pytest.raises(DataError, match=r"more than 5 training examples.*received 5"):
        load(root, val_examples=5)


def test_records_lie_where_tensorflow_finds_them(tmp_path):
    path, wanted = tmp_path / "x.tfrecord", [b"", b"a", b"bc" * 5000, b"d"]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in wanted:
            writer.write(one)
    files = Files([path, Path(shutil.copy(path, tmp_path / "y"))])
    assert [files.record(number) for number in range(len(files))] == wanted * 2
    assert Record(files, len(wanted) + 1).key == "y 28"


def test_what_is_neither_here_nor_to_be_downloaded_is_told_in_one_line(tmp_path, monkeypatch):
    def offline(name, root):
        raise download.DownloadError("no route")

    monkeypatch.setattr(download, "prepare", offline)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError) as caught:
        sources.load(OxfordPet(name="oxford_iiit_pet"))
    assert str(caught.value) == (
        f"oxford_iiit_pet is not prepared in {tmp_path} and its download failed (no route): "
        "set data.dir (or TFDS_DATA_DIR) to a prepared TensorFlow Datasets folder"
    )
    with pytest.raises(DataError, match=r"expected data.dir to hold oxford_iiit_pet/<version>"):
        load(tmp_path)
