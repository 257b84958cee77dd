"""What is left to the machine, and the threads that shards are given."""

import os
import subprocess
import sys

import hydra
import pytest
from omegaconf import OmegaConf

from src import config, machine
from tests.commands import ROOT

PROCESSORS = len(os.sched_getaffinity(0))


def settings(words):
    """The configuration of `python -m src.train words`."""
    with hydra.initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        values = OmegaConf.to_container(hydra.compose("train", words.split()))
    del values["resume"], values["force"], values["config"]
    return config.parse(config.Train, values)


@pytest.mark.parametrize(
    ("words", "shards"),
    [
        ("model=lenet5", 2),
        ("model=autoencoder", 2),
        ("model=lenet_mnist", 1),
        ("model=fcn", 1),
        ("model=lenet5 trainer.batch_size=101", 1),
        ("model=lenet5 trainer.shards=1", 1),
        ("model=lenet_mnist trainer.shards=4", 4),
    ],
)
@pytest.mark.skipif(PROCESSORS < 2, reason="one processor has nothing to share")
def test_the_shards_of_a_batch_follow_from_model_and_batch(words, shards):
    assert machine.resolved(settings(words)).trainer.shards == shards


def test_a_precision_that_is_asked_for_is_kept():
    asked = settings("model=lenet5 trainer.precision=float32")
    assert machine.resolved(asked).trainer.precision == "float32"
    assert machine.resolved(settings("model=lenet5")).trainer.precision in ("float32", "bfloat16")


def threads(words, **environment):
    """The threads within and between operations of TensorFlow as a run would have them."""
    code = (
        f"import os; from tests.test_machine import *;"
        f"machine.share_threads(settings({words!r}));"
        "print([os.environ.get(f'TF_NUM_{k}OP_THREADS') for k in ('INTRA', 'INTER')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_each_shard_has_processors_of_its_own():
    each = max(1, PROCESSORS // 4)
    assert threads("model=lenet5 trainer.shards=4") == f"['{each}', '4']"
    assert threads("model=lenet_mnist") == "[None, None]"


def test_threads_that_the_user_has_set_stay():
    assert threads("model=lenet5", TF_NUM_INTRAOP_THREADS="7").startswith("['7', ")
