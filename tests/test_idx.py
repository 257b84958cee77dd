"""IDX files: what is read, and which line tells that a file is not what it should be."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.data.dataset import DataError
from src.data.idx import read_folder
from tests import idx_files

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_reads_what_was_written(tmp_path, zipped, dot):
    content = idx_files.write(tmp_path, train=12, test=10, zipped=zipped, dot=dot)
    splits = read_folder(tmp_path)
    assert list(splits) == ["train", "test"]
    for name, (images, labels) in content.items():
        np.testing.assert_array_equal(splits[name].images, images[..., None], strict=True)
        np.testing.assert_array_equal(splits[name].targets, labels.astype(np.int32), strict=True)


def test_pixels_are_in_row_major_order(tmp_path):
    idx_files.write(tmp_path)
    pixels = bytes(i % 251 for i in range(2 * 28 * 28))
    header = bytes.fromhex("00000803 00000002 0000001c 0000001c")
    (tmp_path / TRAIN_IMAGES).write_bytes(header + pixels)
    (tmp_path / TRAIN_LABELS).write_bytes(bytes.fromhex("00000801 00000002 09 00"))
    train = read_folder(tmp_path)["train"]
    assert train.images[0, 0, 1, 0] == 1
    assert train.images[0, 1, 0, 0] == 28
    assert train.images[1, 0, 0, 0] == 784 % 251
    assert train.targets.tolist() == [9, 0]


def test_the_bytes_decide_whether_a_file_is_zipped(tmp_path):
    content = idx_files.write(tmp_path, zipped=True)
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(""))
    images = read_folder(tmp_path)["train"].images
    np.testing.assert_array_equal(images[..., 0], content["train"][0])


def replace(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def zip_and(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / f"{name}.gz").write_bytes(change(gzip.compress(data)))

    return damage


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def size(rank: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: 4 * rank] + struct.pack(">I", value) + data[4 * (rank + 1) :]


# What is wrong, the damage to a good folder, and what the line has to say beside the file's name.
BAD = [
    ("missing file", lambda f: (f / TRAIN_IMAGES).unlink(), "train-images.idx3-ubyte.gz"),
    ("empty file", replace(TRAIN_IMAGES, lambda d: b""), "header of 16 bytes; received 0"),
    ("half a header", replace(TRAIN_IMAGES, lambda d: d[:9]), "header of 16 bytes; received 9"),
    ("no pixels", replace(TRAIN_IMAGES, lambda d: d[:16]), "9,408 bytes .* received 0"),
    ("truncated", replace(TRAIN_IMAGES, lambda d: d[:-1]), "9,408 bytes .* received 9,407"),
    ("trailing byte", replace(TRAIN_IMAGES, lambda d: d + b"x"), "9,408 bytes .* received more"),
    ("wrong magic", replace(TRAIN_IMAGES, lambda d: b"\x89PNG" + d[4:]), "received 0x89504e47"),
    ("wrong type", replace(TRAIN_IMAGES, lambda d: b"\0\0\x0d\x03" + d[4:]), "received 0x0d03"),
    (
        "labels where images are expected",
        lambda f: (f / TRAIN_IMAGES).write_bytes((f / TRAIN_LABELS).read_bytes()),
        "IDX file of images, magic number 0x0803; received 0x0801",
    ),
    (
        "images where labels are expected",
        lambda f: (f / TRAIN_LABELS).write_bytes((f / TRAIN_IMAGES).read_bytes()),
        "IDX file of labels, magic number 0x0801; received 0x0803",
    ),
    ("other size", replace(TRAIN_IMAGES, size(2, 32)), "images of 28x28 pixels; received 32x28"),
    ("no examples", replace(TRAIN_IMAGES, size(1, 0)), "1 to 2,000,000 images; .* of 0"),
    ("too many", replace(TRAIN_IMAGES, size(1, 2**32 - 1)), "header of 4,294,967,295"),
    ("header lies", replace(TRAIN_IMAGES, size(1, 2_000_000)), "1,568,000,000 bytes"),
    (
        "fewer labels than images",
        lambda f: (f / TRAIN_LABELS).write_bytes(idx_files.label_bytes(np.zeros(11, np.uint8))),
        "as many labels as images; received 11 in .* and 12 in .*train-images",
    ),
    ("label 10", replace(TRAIN_LABELS, lambda d: d[:-1] + b"\x0a"), "labels 0 to 9; received 10"),
    ("truncated gzip", zip_and(TRAIN_IMAGES, lambda d: d[:-20]), "whole gzip file"),
    ("gzip checksum", zip_and(TRAIN_IMAGES, lambda d: flip(d, -7)), "CRC check failed"),
    ("gzip header", zip_and(TRAIN_IMAGES, lambda d: d[:2] + b"\xff" + d[3:]), "readable file"),
    ("gzip stream", zip_and(TRAIN_LABELS, lambda d: flip(d, 10)), "readable file"),
]


@pytest.mark.parametrize(("damage", "line"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_damage_is_told_in_one_line_with_the_file(tmp_path, damage, line):
    idx_files.write(tmp_path, train=12)
    damage(tmp_path)
    with pytest.raises(DataError, match=line) as caught:
        read_folder(tmp_path)
    message = str(caught.value)
    assert "expected" in message
    assert "received" in message
    assert str(tmp_path) in message
    assert "train-" in message
    assert "\n" not in message


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(DataError, match=r"data\.idx_dir to be a folder; received .*/absent"):
        read_folder(tmp_path / "absent")


def test_memory_follows_the_file_not_its_header(tmp_path):
    idx_files.write(tmp_path)
    replace(TRAIN_IMAGES, size(1, 2_000_000))(tmp_path)
    tracemalloc.start()
    with pytest.raises(DataError):
        read_folder(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
