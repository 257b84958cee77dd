"""`results.json`: what may stand in it, and who writes when."""

import json
import threading
from types import SimpleNamespace

import pytest

from src import results
from src.errors import UserError
from src.experiment import evaluation
from src.training import summaries

FACTS = {
    "name": "mnist",
    "source": "idx:/data",
    "digest": "ab",
    "kind": "labels",
    "image_shape": [28, 28, 1],
    "classes": ["0", "1"],
    "digests": {"train": "cd"},
}


def test_what_is_written_is_read_again_and_what_others_wrote_is_kept(tmp_path):
    written = {"status": "running", "data": FACTS, "of_another_version": {"x": [1]}}
    (tmp_path / "results.json").write_text(json.dumps(written))
    with results.changing(tmp_path) as current:
        current.metrics["test"] = {"accuracy": 0.5, "mean_iou": None}
    again = json.loads((tmp_path / "results.json").read_text())
    assert again["of_another_version"] == {"x": [1]}
    assert again["metrics"] == {"test": {"accuracy": 0.5, "mean_iou": None}}
    assert results.read(tmp_path).data.classes == ["0", "1"]


def test_a_run_without_results_has_empty_ones(tmp_path):
    assert results.read(tmp_path) == results.Results()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "3", '{"status": []}', '{"data": 3}', '{"metrics": 4}', "{"),
        *(
            '{"metrics": {"val": {"x": "y"}}}',
            '{"seconds": NaN}',
            '{"seconds": -1}',
            '{"a":' * 9999,
        ),
        *(
            '{"evaluations": {"best-val": 3}}',
            '{"steps": 1e400}',
            '{"class_weights": [{}]}',
            "\xff",
        ),
        json.dumps({"data": FACTS | {"classes": [1, {}]}}),
        json.dumps({"data": FACTS | {"image_shape": [28, 28]}}),
        json.dumps({"data": FACTS | {"image_shape": [28, 10**9, 1]}}),
        json.dumps({"data": FACTS | {"colours": [[1, 2, 999]]}}),
        '{"seconds": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:25].encode("ascii", "replace").decode() or "empty",
)
def test_what_is_forged_is_told_in_one_line(tmp_path, text):
    (tmp_path / "results.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"results\.json: expected a run's results") as caught:
        results.read(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_names_are_no_orders_to_a_terminal_and_can_be_written(tmp_path):
    facts = FACTS | {"classes": ["a\nb", "\x1b[2J"], "source": "caf\udce9"}
    with results.changing(tmp_path) as current:
        current.data = results.DataFacts(**facts)
    data = results.read(tmp_path).data
    assert data.classes == ["a b", r"\x1b[2J"]
    assert data.source == r"caf\udce9"


def test_what_is_trained_again_is_evaluated_again():
    entries = {f"best-{step}": results.Evaluation(step=step, data="x") for step in (5, 10)}
    found = results.Results(evaluations=entries)
    found.forget(5)
    assert list(found.evaluations) == ["best-5"]


def test_what_another_checkpoint_reached_is_not_the_best_ones():
    entries = {f"best-{split}": results.Evaluation(step=5, data="x") for split in ("val", "test")}
    scores = {"val": {"loss": 0.5}, "test": {"loss": 0.6}, "train": {"loss": 0.4}}
    found = results.Results(evaluations=entries, metrics=scores)
    assert found.of_best(5) == {"val": {"loss": 0.5}, "test": {"loss": 0.6}}
    assert found.of_best(10) == found.of_best(None) == {}


def test_who_changes_them_at_one_time_undoes_nothing(tmp_path):
    """As a run that ends its training while it is evaluated."""

    def change(number):
        with results.changing(tmp_path) as current:
            current.metrics[f"{number}"] = {"loss": float(number)}

    threads = [threading.Thread(target=change, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results.read(tmp_path).metrics) == 20


def test_a_change_that_fails_writes_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), results.changing(tmp_path) as current:
        current.seed = 1 // 0
    assert not (tmp_path / "results.json").exists()


def test_the_scores_of_an_evaluation_are_written_after_all_else(tmp_path, monkeypatch):
    """A run is done once it has its scores: what a kill cut short would never be made again."""

    def killed(*_):
        raise InterruptedError

    found = evaluation.Evaluation(
        *("best", "test", True, 3, {"loss": 1.0}, {}, {}, {}), features=object(), predictions=None
    )
    run = SimpleNamespace(
        folder=tmp_path,
        data=SimpleNamespace(source="", name="", classes=("a", "b")),
        events=SimpleNamespace(folder=tmp_path, write_evaluation=lambda *_: None),
    )
    monkeypatch.setattr(summaries, "write_projector", killed)
    with pytest.raises(InterruptedError):
        evaluation.record(run, found)
    assert results.read(tmp_path).metrics == {}
    monkeypatch.setattr(summaries, "write_projector", lambda *_: None)
    evaluation.record(run, found)
    assert results.read(tmp_path).metrics == {"test": {"loss": 1.0}}
