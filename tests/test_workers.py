"""Several processes, or several devices, train what one would; one that is lost stops them all."""

import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.noise import Noise
from src.data.pipeline import Share, evaluation_batches, evaluation_rounds, training_batches
from src.training.distributed import DistributedModel
from src.training.strategies import Devices
from tests.batches import both
from tests.commands import MODELS, ROOT, read, rows, run, wait_for
from tests.test_pipeline import numbered
from tests.test_resume import assert_equal, end_state
from tests.workers import ended, start_workers

WORDS = "trainer.checkpoint_every=2 trainer.precision=float32 trainer.ema=0.9"
# 14 steps an epoch, 7 of them in a call.
WITHOUT_CHANCE = f"{MODELS['lenet_mnist']} {WORDS} model.dropout=0 trainer.batch_size=250"
WITHOUT_CHANCE += " trainer.checkpoint_every=7 trainer.epochs=2"


def shares(workers, devices):
    return [Share(worker * devices, devices, workers * devices) for worker in range(workers)]


def taken(dataset, count):
    return [[np.asarray(part) for part in element] for element in dataset.take(count)]


@pytest.mark.parametrize(("workers", "devices"), [(2, 1), (3, 1), (1, 4), (2, 3)])
def test_the_parts_of_a_batch_are_those_of_the_batch_that_one_would_train(workers, devices):
    noise = Noise(0.1, seed=7)
    given = numbered(103), both, 12, 7, 3, 9, noise
    whole = taken(training_batches(*given), 6)
    found = [
        taken(training_batches(*given, share), 6 * devices) for share in shares(workers, devices)
    ]
    for step, (images, targets) in enumerate(whole):
        parts = [each[step * devices + device] for each in found for device in range(devices)]
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), images)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), targets)


@settings(deadline=None, max_examples=25)
@given(examples=st.integers(1, 40), workers=st.integers(1, 4), devices=st.integers(1, 3))
def test_an_evaluation_by_several_counts_every_example_once(examples, workers, devices):
    split = numbered(examples)
    seen = []
    for share in shares(workers, devices):
        if share == Share():
            return
        batches = evaluation_batches(split, both, share=share)
        rounds = evaluation_rounds(split, share)
        for _, targets, there in taken(batches, rounds * devices):
            seen += targets.tolist() if there else []
    assert sorted(seen) == list(range(examples))


def assert_close(one, other, relative):
    """Compares the weights of two runs, and each of their logged numbers."""
    weights, others = end_state(one)[0], end_state(other)[0]
    assert weights.keys() == others.keys()
    names = [name for name in weights if "vars" in name and "optimizer" not in name]
    distance = sum(np.sum((weights[n] - others[n].astype(float)) ** 2) for n in names)
    size = sum(np.sum(weights[n].astype(float) ** 2) for n in names)
    assert np.sqrt(distance / size) < relative
    for row, again in zip(rows(one), rows(other), strict=True):
        assert row["loss"] == pytest.approx(again["loss"], rel=1e-2)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run that one device trains."""
    folder = tmp_path_factory.mktemp("alone")
    run("src.train", f"{WITHOUT_CHANCE} run_dir=run", folder)
    return folder / "run"


def test_two_workers_train_what_one_does_and_one_goes_on_when_the_other_is_killed(alone, tmp_path):
    chief, other = start_workers(2, f"{WITHOUT_CHANCE} run_dir=run", tmp_path)
    wait_for(tmp_path / "run/checkpoints/last")
    other.kill()
    begun = time.monotonic()
    (status, out, err), _ = ended([chief, other])
    assert (status, err) == (75, "")
    assert time.monotonic() - begun < 60
    assert out.splitlines()[-1].startswith("stopped: another worker is gone (")
    for folder, strategy in ((alone, "one"), (tmp_path / "run", "multi_worker")):
        assert f"  strategy: {strategy}\n" in (folder / "config.yaml").read_text()
    _, err = run("src.train", "resume=run", tmp_path, status=2)
    assert "expected a cluster of two workers or more" in err
    run("src.train", "resume=run trainer.strategy=one", tmp_path)
    assert_close(alone, tmp_path / "run", 1e-4)


MIRRORED = """
import sys
from src import cli, config, quiet, train
def two():
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
quiet.tensorflow(two)
cli.run("train", train.main, config.Train, config.Resume)
"""


def test_two_devices_of_one_machine_train_what_one_does(alone, tmp_path):
    words = [*WITHOUT_CHANCE.split(), "trainer.strategy=mirrored"]
    command = [sys.executable, "-c", MIRRORED, *words]
    done = subprocess.run(
        [*command, f"run_dir={tmp_path}/run"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "run/results.json")["steps"] == 28
    assert_close(alone, tmp_path / "run", 1e-4)
    _, err = run("src.train", "trainer.strategy=mirrored", tmp_path, status=2)
    assert "expected two GPUs or more for trainer.strategy=mirrored; received none" in err


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_two_workers_stopped_go_on_to_the_bit_and_end_as_if_left_alone(model, tmp_path):
    words = f"{MODELS[model]} {WORDS} trainer.epochs=3"
    for status, _, err in ended(start_workers(2, f"{words} run_dir=whole", tmp_path)):
        assert status == 0, err
    workers = start_workers(2, f"{words} run_dir=part", tmp_path)
    wait_for(tmp_path / "part/checkpoints/last")
    # Whichever is asked: here it is not the chief.
    workers[1].send_signal(signal.SIGTERM)
    assert [status for status, _, _ in ended(workers)] == [75, 75]
    for status, _, err in ended(start_workers(2, "resume=part", tmp_path)):
        assert status == 0, err
    assert_equal(tmp_path / "whole", tmp_path / "part")


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 2], ids=["chief", "other"])
def test_a_worker_that_hangs_stops_three_and_two_go_on(lost, tmp_path):
    words = f"{WITHOUT_CHANCE} trainer.batch_size=300 trainer.checkpoint_every=5 run_dir=run"
    workers = start_workers(3, words, tmp_path)
    wait_for(tmp_path / "run/checkpoints/last")
    workers[lost].send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    left = [worker for worker in workers if worker is not workers[lost]]
    for status, out, _ in ended(left):
        assert status == 75
        assert out.splitlines()[-1].startswith("stopped: another worker is gone (")
    assert time.monotonic() - begun < 60
    workers[lost].kill()
    workers[lost].communicate()
    for status, _, err in ended(start_workers(2, "resume=run", tmp_path)):
        assert status == 0, err
    assert read(tmp_path / "run/results.json")["status"] == "finished"


def test_each_replica_draws_its_own_masks_which_follow_from_the_first_ones():
    def masks(worker):
        keras.utils.set_random_seed(3)
        devices = Devices(tf.distribute.MirroredStrategy(["CPU:0"]), workers=3, worker=worker)
        inputs = keras.Input((64,))
        with devices.scope():
            network = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
        model = DistributedModel(network, None, 1, devices, None)
        model.part_seeds()
        step = tf.function(
            lambda: devices.strategy.run(model, (tf.ones((4, 64)),), {"training": 1})
        )
        return step().numpy(), step().numpy()

    first, second, again = masks(0), masks(1), masks(1)
    np.testing.assert_array_equal(second, again)
    drawn = [mask.tobytes() for each in (first, second, masks(2)) for mask in each]
    assert len(set(drawn)) == 6


def test_batches_are_normalised_over_all_replicas_and_by_no_kernel_that_sees_one():
    devices = Devices(tf.distribute.MirroredStrategy(["CPU:0"]))
    inputs = keras.Input((4, 4, 2))
    with devices.scope():
        network = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    model = DistributedModel(network, None, 1, devices, None)
    batch = tf.random.stateless_uniform((6, 4, 4, 2), (1, 2))

    @tf.function
    def step():
        return devices.strategy.run(model, (batch,), {"training": True})

    kinds = {operation.type for operation in step.get_concrete_function().graph.get_operations()}
    assert not {kind for kind in kinds if kind.startswith("FusedBatchNorm")}
    np.testing.assert_allclose(np.mean(step(), axis=(0, 1, 2)), 0, atol=1e-5)
    assert network.layers[-1].synchronized
