"""What a process is told of its cluster, and what is refused, before TensorFlow is imported."""

import pytest

from src import children, cluster
from src.cluster import Cluster
from src.errors import UserError
from src.training import strategies
from tests.test_machine import settings
from tests.workers import described

TWO = {"worker": ["a:1", "b:1"]}
SLURM = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}
THREE = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


def task(kind, index):
    return {"type": kind, "index": index}


@pytest.mark.parametrize(
    ("workers", "own", "found"),
    [
        (TWO, task("worker", 0), Cluster(2, 0)),
        (TWO, task("worker", 1), Cluster(2, 1)),
        (THREE, task("chief", 0), Cluster(3, 0)),
        (THREE, task("worker", 0), Cluster(3, 1)),
        (THREE, task("worker", 1), Cluster(3, 2)),
        ({"worker": ["a:1"]}, task("worker", 0), None),
    ],
    ids=["first", "second", "chief", "after-the-chief", "last", "alone"],
)
def test_tf_config_names_the_workers_the_chief_first(monkeypatch, workers, own, found):
    described(monkeypatch, {"cluster": workers, "task": own, "environment": "cloud"})
    assert cluster.described() == found


@pytest.mark.parametrize("text", ["", " ", "{}"], ids=["empty", "blank", "nothing"])
def test_an_empty_tf_config_describes_no_cluster(monkeypatch, text):
    described(monkeypatch, text)
    assert cluster.described() is None


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "[]",
        {"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": task("worker", 0)},
        {"cluster": TWO, "task": task("evaluator", 0)},
        {"cluster": TWO, "task": task("worker", 2)},
        {"cluster": TWO, "task": task("worker", -1)},
        {"cluster": TWO},
        {"cluster": {"worker": "a:1"}, "task": task("worker", 0)},
    ],
    ids=["cut", "list", "ps", "evaluator", "beyond", "negative", "no-task", "text"],
)
def test_another_tf_config_is_refused_in_one_line(monkeypatch, value):
    described(monkeypatch, value)
    with pytest.raises(UserError, match=r"^TF_CONFIG: expected [^\n]* received [^\n]*$"):
        cluster.described()


def test_slurm_numbers_the_tasks_of_a_step(monkeypatch):
    described(monkeypatch, **SLURM)
    assert cluster.described() == Cluster(4, 3, slurm=True)
    # In a batch script, outside of srun, there is a job and no step.
    described(monkeypatch, SLURM_NTASKS="4", SLURM_PROCID="0")
    assert cluster.described() is None
    described(monkeypatch, SLURM_STEP_NUM_TASKS="four", SLURM_PROCID="3")
    with pytest.raises(UserError, match=r"expected numbers as SLURM_STEP_NUM_TASKS"):
        cluster.described()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("trainer.batch_size=101", "a multiple of the 2 workers; received trainer.batch_size=101"),
        ("model=transfer data=photographs", "trainer.strategy=one for model=transfer, .* 2 work"),
    ],
    ids=["batch", "features"],
)
def test_what_two_workers_cannot_train_is_refused(monkeypatch, words, line):
    described(monkeypatch, {"cluster": TWO, "task": task("worker", 0)})
    with pytest.raises(UserError, match=line):
        cluster.joined(settings(words))
    assert cluster.joined(settings(f"{words} trainer.strategy=one")) is None


def test_without_a_cluster_there_is_nothing_to_join(monkeypatch):
    described(monkeypatch)
    assert cluster.joined(settings("model=lenet5")) is None
    with pytest.raises(UserError, match=r"a cluster of two workers or more.*; received none$"):
        cluster.joined(settings("model=lenet5 trainer.strategy=multi_worker"))


def test_a_run_of_a_search_or_a_multirun_is_in_no_cluster(monkeypatch):
    described(monkeypatch, {"cluster": TWO, "task": task("worker", 0)}, **SLURM)
    given = {}
    monkeypatch.setattr(
        children.subprocess, "Popen", lambda *args, **options: given.update(options)
    )
    children.Child("train", [])
    for name in ("TF_CONFIG", *SLURM):
        monkeypatch.setenv(name, given["env"][name])
    assert cluster.described() is None


def test_slurm_names_the_addresses_of_the_workers(monkeypatch):
    described(
        monkeypatch,
        SLURM_STEP_NUM_TASKS="3",
        SLURM_STEP_NODELIST="gpu[07-08]",
        SLURM_STEP_TASKS_PER_NODE="2,1",
        SLURM_PROCID="2",
        SLURM_JOB_ID="140007",
    )
    found = strategies.of_slurm()
    assert found == {
        "cluster": {"worker": ["gpu07:10007", "gpu07:10008", "gpu08:10007"]},
        "task": {"type": "worker", "index": 2},
    }
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(UserError, match=r"expected Slurm's variables of a step; received [^\n]+"):
        strategies.of_slurm()
