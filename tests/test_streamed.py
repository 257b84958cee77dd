"""Examples that stay in their files: the same batches, the same training, the same numbers."""

import numpy as np
import pytest

from src.data import prepared
from src.data.examples import Split
from src.data.pipeline import evaluation_batches, training_batches
from src.training import baselines
from tests.batches import both
from tests.commands import PREPARED, read, run, start
from tests.test_prepared import folder, pictures, sample  # noqa: F401
from tests.test_resume import assert_equal, stop_after

WORDS = "model=autoencoder trainer.steps=60 trainer.batch_size=50 trainer.checkpoint_every=20"


@pytest.fixture
def pair(sample):  # noqa: F811
    """The same seven examples, held and streamed."""
    return prepared.read(sample, 2048)["train"], prepared.read(sample, 0)["train"]


def test_a_slice_and_a_choice_are_those_of_the_held_examples(pair):
    held, streamed = pair
    for chosen in (slice(2, 5), slice(None, -3), np.array([6, 0, 0, 3])):
        np.testing.assert_array_equal(streamed[chosen].arrays().images, held[chosen].images)
        np.testing.assert_array_equal(streamed[chosen].arrays().targets, held[chosen].targets)
    twice = streamed[1:][np.array([0, 5])].arrays()
    np.testing.assert_array_equal(twice.images, pictures("train")[[1, 6]])


def test_records_in_several_files_are_numbered_through(sample, tmp_path):  # noqa: F811
    from src.data.streamed import Files

    train, test = sorted(sample.glob("*train*"))[0], sorted(sample.glob("*test*"))[0]
    first, second, files = Files([train]), Files([test]), Files([train, test, train])
    assert len(files) == 7 + 2 + 7
    numbers = np.array([15, 8, 0, 7, 6])
    expected = [*first.records([6]), *second.records([1]), *first.records([0])]
    expected += [*second.records([0]), *first.records([6])]
    assert files.records(numbers).tolist() == expected


@pytest.mark.parametrize("make", ["training", "evaluation"])
def test_batches_are_the_same_to_the_bit(pair, make):
    def batches(split):
        if make == "training":
            return training_batches(split, both, 3, 1, 1, 9)
        return evaluation_batches(split, both)

    held, streamed = ([*batches(split).as_numpy_iterator()] for split in pair)
    assert len(held) == len(streamed) > 0
    for one, other in zip(held, streamed, strict=True):
        np.testing.assert_array_equal(one[0], other[0], strict=True)
        np.testing.assert_array_equal(one[1], other[1], strict=True)


class InParts(Split):
    """Examples that come in parts of a few."""

    def parts(self):
        for begin in range(0, len(self), 7):
            yield Split(self.images[begin : begin + 7], self.targets[begin : begin + 7])


@pytest.mark.parametrize("size", [6, 40])
def test_the_baselines_are_those_of_the_textbook(size):
    random = np.random.default_rng(0)
    basis = random.random((5, size, size, 1))
    images = np.rint(255 * np.tensordot(random.dirichlet(np.ones(5), 400), basis, 1))
    split = Split(images.astype(np.uint8), np.zeros(400, np.int32))
    train, test = split[:300], split[300:]
    rows, unseen = (part.images.reshape(len(part), -1) / 255 for part in (train, test))
    rest = unseen - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    left = rest - rest @ axes[:3].T @ axes[:3]
    for form in (Split, InParts):
        found = baselines.reconstruction(
            form(train.images, train.targets), form(test.images, test.targets), 3
        )
        assert list(found) == ["mean_image_mse", "pca_3_mse"]
        assert found["mean_image_mse"] == pytest.approx(np.mean(rest**2), rel=1e-9)
        # Beyond 1,000 pixels the components are drawn at random, and nearly the same.
        assert found["pca_3_mse"] == pytest.approx(np.mean(left**2), rel=1e-6)
    assert list(baselines.reconstruction(train, test, 0)) == ["mean_image_mse"]


needs_mnist = pytest.mark.skipif(not PREPARED.is_dir(), reason="MNIST is not prepared here")


@pytest.mark.slow
@needs_mnist
def test_a_streamed_run_killed_and_resumed_is_the_held_run_to_the_bit(tmp_path):
    run("src.train", f"{WORDS} run_dir=held", tmp_path)
    process = start("src.train", f"{WORDS} data.memory_budget=1 run_dir=streamed", tmp_path)
    stop_after(process, tmp_path / "streamed", 0, 9)
    run("src.train", "resume=streamed", tmp_path)
    assert_equal(tmp_path / "held", tmp_path / "streamed")
    held, streamed = (read(tmp_path / name / "results.json") for name in ("held", "streamed"))
    assert streamed["data"] == held["data"]
    for split in ("val", "test"):
        assert streamed["baselines"][split] == pytest.approx(held["baselines"][split], abs=1e-12)


@needs_mnist
def test_an_evaluation_reads_its_own_split_only_and_refuses_other_examples(tmp_path):
    root = tmp_path / "data" / "mnist" / "3.0.1"
    root.mkdir(parents=True)
    source = prepared.find(PREPARED, "mnist")
    for file in source.iterdir():
        (root / file.name).write_bytes(file.read_bytes())
    words = "model=lenet5 trainer.steps=2 run_dir=run"
    run("src.train", f"{words} data.dir={tmp_path / 'data'}", tmp_path)
    before = read(tmp_path / "run" / "results.json")
    train, test = (next(root.glob(f"*-{split}.*")) for split in ("train", "test"))
    kept = train.read_bytes()
    train.unlink()
    run("src.eval", "run=run", tmp_path)
    assert read(tmp_path / "run" / "results.json") == before
    _, err = run("src.eval", "run=run split=val", tmp_path, status=2)
    assert f"{train}: expected to read it; received No such file" in err
    assert err.count("\n") == 1
    train.write_bytes(kept)
    info = root / "dataset_info.json"
    # The training examples stand in for the test examples.
    train.rename(test)
    text = info.read_text()
    assert "10000" in text
    info.write_text(text.replace("10000", "60000"))
    _, err = run("src.eval", "run=run", tmp_path, status=2)
    assert "expected the run's own data" in err
    assert err.count("\n") == 1
