"""Batches: an order that needs no state, and every evaluation example once."""

import numpy as np
import pytest

from src.data.examples import Split, allocate
from src.data.pipeline import evaluation_batches, training_batches
from src.data.splits import spread
from tests.batches import both


def numbered(examples: int) -> Split:
    images = np.zeros((examples, 2, 3, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(examples) % 256
    return Split(images, np.arange(examples, dtype=np.int32))


def order(split, *, batch=10, seed=0, first=0, last=20):
    batches = training_batches(split, both, batch, seed, first, last)
    return np.array([targets.numpy() for _, targets in batches])


def test_an_epoch_holds_no_example_twice_and_leaves_out_the_remainder():
    epoch = order(numbered(103), last=10)
    assert epoch.shape == (10, 10)
    assert len(set(epoch.ravel())) == 100


def test_every_epoch_and_every_seed_has_its_own_order():
    split = numbered(100)
    first, second = order(split).reshape(2, 100)
    other = order(split, seed=1)[:10].ravel()
    assert sorted(first) == sorted(second) == sorted(other) == list(range(100))
    assert len({tuple(first), tuple(second), tuple(other), tuple(range(100))}) == 4


@pytest.mark.parametrize("start", [1, 9, 10, 13])
def test_the_order_from_a_step_on_is_that_of_the_whole_run(start):
    split = numbered(103)
    np.testing.assert_array_equal(order(split, first=start), order(split)[start:])


def test_the_largest_seed_is_a_seed():
    assert order(numbered(20), seed=2**32 - 1, last=2).shape == (2, 10)


def test_a_graph_is_told_how_large_a_training_batch_is():
    images, targets = training_batches(numbered(20), both, 10, 0, 0, 2).element_spec
    assert (images.shape, targets.shape) == ((10, 2, 3, 1), (10,))


def test_an_image_goes_with_its_target_and_is_scaled_to_the_unit_interval():
    for images, targets in training_batches(numbered(256), both, 32, 0, 0, 8):
        np.testing.assert_allclose(images[:, 0, 0, 0], targets.numpy() / 255, rtol=1e-6)
        assert images.dtype == "float32"


@pytest.mark.parametrize("examples", [1, 2, 7, 873, 1000])
def test_an_evaluation_sees_every_example_once_and_in_order(examples):
    images = np.zeros((examples, 28, 20, 1), np.uint8)  # 936 a batch
    split = Split(images, np.arange(examples, dtype=np.int32))
    seen = np.concatenate([targets for _, targets in evaluation_batches(split, both)])
    np.testing.assert_array_equal(seen, np.arange(examples))


def test_images_that_begin_where_tensorflow_wants_them_are_not_copied():
    images = allocate((4, 2, 3, 1), np.dtype(np.uint8))
    images[:] = 1
    read = Split(images, np.arange(4, dtype=np.int32)).reader()
    images[2] = 9
    assert read([1, 2])[0][:, 0, 0, 0].numpy().tolist() == [1, 9]
    del images
    assert read([2])[0].numpy().max() == 9


@pytest.mark.parametrize("start", [1, 7, 64])
@pytest.mark.parametrize("step", [1, 2])
def test_slices_and_read_only_arrays_are_read_all_the_same(start, step):
    whole = numbered(200)
    whole.images.flags.writeable = False
    images, targets = whole[start::step].reader()([0, 3])
    assert images[:, 0, 0, 0].numpy().tolist() == [start, start + 3 * step]
    assert targets.numpy().tolist() == [start, start + 3 * step]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("shape", [(1,), (3, 5, 7, 2), (1000,)])
def test_memory_begins_at_a_multiple_of_64_bytes(shape, dtype):
    for _ in range(20):
        array = allocate(shape, np.dtype(dtype))
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.ctypes.data % 64 == 0


@pytest.mark.parametrize("count", [1, 7, 10, 101, 500, 5000])
@pytest.mark.parametrize("most", [1, 8, 10, 100])
def test_examples_to_be_shown_come_from_everywhere(count, most):
    places = spread(count, most)
    assert len(places) == min(count, most)
    # One from each part of the whole.
    edges = np.arange(len(places) + 1) * count // len(places)
    assert ((edges[:-1] <= places) & (places < edges[1:])).all()


def test_ten_examples_of_ten_classes_in_turn_show_all_ten():
    assert set(spread(500, 10) % 10) == set(range(10))
    assert set(spread(1000, 10) % 10) == set(range(10))
