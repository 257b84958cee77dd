"""A run's folder taken back to a checkpoint: every epoch and every event once."""

import json
import logging

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.training import history
from src.training.output import EVALUATION, log


def line(step):
    return json.dumps({"epoch": step // 5, "step": step, "loss": 0.5, "val_iou": None}).encode()


@pytest.mark.parametrize(
    ("bad", "at"),
    [
        *((b"\xff\xfe", 1), (b"[1]", 1), (b"null", 1), (b'{"step": "5"}', 1), (b"{}", 1)),
        *((b'{"step": 5, "loss": []}', 1), (b"[" * 99_999, 1), (b'{"step": 5, "lo', 1)),
        (b"9" * 5000, 1),
    ],
    ids=["bytes", "list", "null", "text", "no step", "a list", "deep", "cut", "digits"],
)
def test_a_bad_line_alone_is_left_out_and_said(tmp_path, bad, at, caplog, monkeypatch):
    monkeypatch.setattr(log, "propagate", True)
    lines = [line(5), bad, line(10), line(15), line(20)]
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    with caplog.at_level(logging.WARNING):
        rows = history.rewind_metrics(tmp_path / "metrics.jsonl", 15)
    assert [row["step"] for row in rows] == [5, 10, 15]
    assert "line 2 is damaged and left out" in caplog.text
    written = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(text)["step"] for text in written] == [5, 10, 15]


def test_a_last_line_that_was_cut_short_is_no_damage(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(log, "propagate", True)
    (tmp_path / "metrics.jsonl").write_bytes(line(5) + b"\n" + line(10)[:9])
    assert [row["step"] for row in history.rewind_metrics(tmp_path / "metrics.jsonl", 15)] == [5]
    assert not caplog.text


def write(folder, *steps, suffix=".v2"):
    writer = tf.summary.create_file_writer(str(folder), filename_suffix=suffix)
    with writer.as_default():
        for step in steps:
            tf.summary.scalar("loss", step / 2, step)
    writer.close()


def shown(folder):
    events = EventAccumulator(str(folder)).Reload()
    return [event.step for event in events.Tensors("loss")]


def test_each_event_is_there_once_wherever_a_rewind_is_killed(tmp_path, monkeypatch):
    part = tmp_path / "tensorboard"
    for killed in ("flush", "rename", "unlink"):
        write(part, 1, 2, 3, 4)

        def kill(*arguments, **options):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            if killed == "flush":
                patched.setattr(history.files, "flush", kill)
            else:
                patched.setattr(type(part), killed, kill)
            with pytest.raises(KeyboardInterrupt):
                history.rewind_events(tmp_path / "tensorboard", 3)
        if killed != "unlink":
            assert set(shown(part)) == {1, 2, 3, 4}
            assert len(shown(part)) == 4
        history.rewind_events(tmp_path / "tensorboard", 3)
        assert shown(part) == [1, 2, 3]
        assert len(list(part.iterdir())) == 1
        history.rewind_events(tmp_path / "tensorboard", 0)


def test_what_an_earlier_version_left_aside_is_removed(tmp_path):
    part = tmp_path / "tensorboard" / "train"
    write(part, 1, 2)
    (events,) = part.iterdir()
    (part / ".events.out.tfevents.1.rewound").write_bytes(events.read_bytes())
    history.rewind_events(tmp_path / "tensorboard", 2)
    assert shown(part) == [1, 2]
    assert len(list(part.iterdir())) == 1


def test_an_evaluation_stays_until_its_step_is_trained_again(tmp_path):
    part = tmp_path / "tensorboard" / "pictures"
    write(part, 1, suffix=f"{EVALUATION}best-val")
    write(part, 4, suffix=f"{EVALUATION}last-val")
    history.rewind_events(tmp_path / "tensorboard", 3)
    assert [path.name.split(EVALUATION)[1] for path in part.iterdir()] == ["best-val"]


def test_a_run_that_begins_again_has_no_events(tmp_path):
    write(tmp_path / "tensorboard" / "train", 0)
    history.rewind_events(tmp_path / "tensorboard", 0)
    assert not any((tmp_path / "tensorboard" / "train").iterdir())


def test_what_is_not_of_tensorboard_is_left_alone(tmp_path):
    write(tmp_path / "tensorboard" / "train", 0)
    (tmp_path / "tensorboard" / "train" / "notes.txt").write_text("mine")
    history.rewind_events(tmp_path / "tensorboard", 0)
    left = [path.name for path in (tmp_path / "tensorboard" / "train").iterdir()]
    assert left == ["notes.txt"]


def test_what_was_begun_and_not_finished_is_removed(tmp_path):
    names = ("figures/.a.png.1.tmp", ".config.yaml.writing", ".results.json.writing")
    points = ("tensors.tsv.writing", "1-2.tmp")
    for name in (*names, *(f"tensorboard/projector/best-val/.{name}" for name in points)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "figures" / "a.png").touch()
    history.rewind(tmp_path, 5)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [tmp_path / "figures" / "a.png"]
