"""Whole commands, run as a user runs them, on the bundled digits."""

import csv
import math
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import yaml
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.util.tensor_util import make_ndarray

from tests.commands import MODELS, PREPARED, read, rows, run, start


@pytest.fixture(scope="module", params=MODELS)
def trained(request, tmp_path_factory):
    """A run of two epochs of each model, as its name, its folder and what was printed."""
    if request.param == "fcn" and not PREPARED.is_dir():
        pytest.skip(f"scenes are composed from MNIST, which is not in {PREPARED}")
    folder = tmp_path_factory.mktemp(request.param)
    out, err = run(
        "src.train", f"{MODELS[request.param]} trainer.epochs=2 run_dir=outputs/run", folder
    )
    return request.param, folder / "outputs" / "run", out, err


def test_a_run_says_what_it_does_in_a_line_an_epoch_and_nothing_else(trained):
    name, _, out, err = trained
    lines = out.splitlines()
    assert all(line.startswith(f"{name} on ") for line in lines[:2])
    assert [line.split()[:2] for line in lines[2:4]] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert all("images/s" in line for line in lines[2:4])
    assert [line.split(":")[0] for line in lines[4:6]] == ["best, val", "best, test"]
    assert re.fullmatch(r"the best is epoch [12]; pictures in outputs/run/figures", lines[6])
    assert lines[7].startswith("python -m src.predict run=outputs/run ")
    assert len(lines) == 8
    assert all(len(line) <= 80 for line in lines[2:4])
    assert err == ""


def test_a_run_folder_holds_all_that_is_needed(trained):
    name, folder, *_ = trained
    resolved = yaml.safe_load((folder / "config.yaml").read_text())
    assert resolved["model"]["name"] == name
    assert resolved["trainer"]["precision"] in ("float32", "bfloat16")
    results = read(folder / "results.json")
    assert results["status"] == "finished"
    assert results["steps"] == 2 * results["steps"] // 2 > 0
    assert set(results["metrics"]) == {"train", "val", "test"}
    assert len(results["data"]["digest"]) == 64
    assert results["data"]["source"]
    assert {"seconds", "images_per_second", "precision", "versions", "seed"} <= set(results)
    for pointer in ("best", "last"):
        checkpoint = folder / "checkpoints" / (folder / "checkpoints" / pointer).read_text().strip()
        assert (checkpoint / "model.weights.h5").stat().st_size > 0
    assert "epoch 2/2" in (folder / "train.log").read_text()


def test_the_metrics_go_up_in_steps_and_are_the_models_own(trained):
    name, folder, *_ = trained
    watched = {"autoencoder": "mse", "fcn": "mean_iou"}.get(name, "accuracy")
    written = rows(folder)
    assert [row["epoch"] for row in written] == [1, 2]
    assert written[1]["step"] == 2 * written[0]["step"]
    for row in written:
        assert {"loss", "val_loss", watched, f"val_{watched}", "learning_rate"} <= set(row)
        assert all(math.isfinite(value) for value in row.values())


def events_of(folder):
    """All that TensorBoard reads of a run, which is one entry: the folder and none below it."""
    assert not list((folder / "tensorboard").glob("*/**/*tfevents*"))
    return EventAccumulator(str(folder / "tensorboard"), {"tensors": 0}).Reload()


def test_tensorboard_has_curves_pictures_weights_and_the_graph(trained):
    name, folder, *_ = trained
    events, written = events_of(folder), rows(folder)
    for part, prefix in (("train", ""), ("val", "val_")):
        logged = events.Tensors(f"loss/{part}")
        assert [event.step for event in logged] == [row["step"] for row in written]
        values = [float(make_ndarray(event.tensor_proto)) for event in logged]
        np.testing.assert_allclose(values, [row[f"{prefix}loss"] for row in written], rtol=1e-6)
    tags = set(events.Tags()["tensors"])
    assert {"training/learning_rate", "training/images_per_second"} <= tags
    assert any(tag.startswith("weights/") for tag in tags)
    # The network, once, by the names of its layers.
    nodes = [node.name.split("/") for node in events.Graph().node]
    shown = {parts[1] for parts in nodes if parts[0] == name}
    ends = {
        "lenet5": {"c1", "s2", "f6"},
        "lenet_mnist": {"conv1", "pool2", "fc1"},
        "autoencoder": {"conv2", "code", "deconv1"},
        "fcn": {"conv1_1", "score32", "upsample8"},
    }
    assert shown >= ends[name]
    assert not any(part == f"{end}_1" for parts in nodes for part in parts for end in ends[name])
    pictures = {"autoencoder": "reconstructions", "fcn": "segmentation"}
    tag = f"{pictures.get(name, 'confusion_matrix')}/epochs"
    assert [event.step for event in events.Tensors(tag)] == [row["step"] for row in written]


def test_tensorboard_has_settings_texts_charts_and_scores_of_the_evaluations(trained):
    name, folder, *_ = trained
    events = events_of(folder)
    metadata = {tag: events.SummaryMetadata(tag) for tag in events.Tags()["tensors"]}
    (start,) = events.Tensors("_hparams_/session_start_info")
    assert start.step == 0
    info = HParamsPluginData.FromString(
        metadata["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info
    assert info.hparams["model.name"].string_value == name
    assert info.hparams["trainer.epochs"].number_value == 2
    assert info.group_name == "outputs/run"

    def text(tag):
        return make_ndarray(events.Tensors(tag)[0].tensor_proto).item().decode()

    assert f"name: {name}" in text("run/configuration")
    assert "src.train" in text("run/command")
    assert read(folder / "results.json")["data"]["digest"] in text("run/data")
    assert "| total |" in text("run/layers") or "parameters" in text("run/layers")
    (layout,) = events.Tensors("custom_scalars__config__")
    chart = Layout.FromString(make_ndarray(layout.tensor_proto).item()).category[0].chart[0]
    found = [tag for tag in metadata if re.search(chart.multiline.tag[0], tag)]
    assert sorted(found) == ["loss/train", "loss/val"]
    for split in ("val", "test"):
        (score,) = events.Tensors(f"loss/best-{split}")
        expected = read(folder / "results.json")["metrics"][split]["loss"]
        assert float(make_ndarray(score.tensor_proto)) == pytest.approx(expected)
    curves = [t for t, m in metadata.items() if m.plugin_data.plugin_name == "pr_curves"]
    assert len(curves) == (20 if "lenet" in name else 0)


def test_the_projector_reads_the_points_of_an_evaluation(trained):
    name, folder, *_ = trained
    board = folder / "tensorboard"
    if name == "fcn":
        assert not (board / "projector_config.pbtxt").exists()
        return
    config = text_format.Parse((board / "projector_config.pbtxt").read_text(), ProjectorConfig())
    assert [one.tensor_name for one in config.embeddings] == ["best-test", "best-val"]
    for one in config.embeddings:
        points = np.loadtxt(board / one.tensor_path, delimiter="\t")
        heading, *labels = (board / one.metadata_path).read_text().splitlines()
        assert heading == "class\texample"
        assert {label.split("\t")[0] for label in labels} == set("0123456789")
        width, height = one.sprite.single_image_dim
        with Image.open(board / one.sprite.image_path) as sprite:
            assert (sprite.width // width) * (sprite.height // height) >= len(points)
        # Of many numbers a point, fewer: 500,000 // 512.
        most = 976 if name == "lenet_mnist" else 1000
        assert len(points) == len(labels) == {"best-test": most, "best-val": 500}[one.tensor_name]
        assert points.shape[1] == {"autoencoder": 20, "lenet5": 84, "lenet_mnist": 512}[name]


def test_the_same_pictures_lie_in_figures(trained):
    name, folder, *_ = trained
    names = {"autoencoder": {"reconstructions"}, "fcn": {"segmentation", "class_iou"}}
    for picture in names.get(name, {"confusion_matrix"}):
        for when in ("epoch-0001", "epoch-0002", "best-val", "best-test"):
            with Image.open(folder / "figures" / f"{picture}-{when}.png") as image:
                assert min(image.size) > 100
    assert (folder / "figures" / "worst_mistakes-best-test.png").exists() == ("lenet" in name)


def test_each_class_of_a_segmentation_is_scored_by_its_name(trained):
    name, folder, *_ = trained
    if name != "fcn":
        pytest.skip("only pixels have an IoU")
    found = read(folder / "results.json")
    iou = found["evaluations"]["best-test"]["class_iou"]
    assert list(iou) == found["data"]["classes"] == ["background", *"0123456789"]
    present = [value for value in iou.values() if value is not None]
    assert found["metrics"]["test"]["mean_iou"] == pytest.approx(sum(present) / len(present))
    assert {"mean_iou", "global_accuracy", "class_accuracy", "loss"} == set(
        found["metrics"]["test"]
    )
    logged = events_of(folder).Tensors("class_iou/background")
    assert [event.step for event in logged] == [row["step"] for row in rows(folder)]


def test_class_weights_are_counted_once_said_and_kept(tmp_path):
    if not PREPARED.is_dir():
        pytest.skip(f"scenes are composed from MNIST, which is not in {PREPARED}")
    words = f"{MODELS['fcn']} trainer.class_weights=median_frequency trainer.steps=4 run_dir=run"
    out, _ = run("src.train", words, tmp_path)
    weights = read(tmp_path / "run" / "results.json")["class_weights"]
    assert len(weights) == 11
    assert weights[0] < 0.1 < min(weights[1:])  # the background is everywhere
    said = next(line for line in out.splitlines() if line.startswith("class weights: "))
    assert said.startswith(f"class weights: background {weights[0]:.3g}, 0 {weights[1]:.3g}, ")
    out, _ = run("src.train", "resume=run trainer.steps=5", tmp_path)
    assert "class weights: " not in out
    assert read(tmp_path / "run" / "results.json")["class_weights"] == weights
    words = "resume=run trainer.steps=6 trainer.class_weights_power=0.5 force=true"
    out, _ = run("src.train", words, tmp_path)
    assert "class weights: " in out
    roots = read(tmp_path / "run" / "results.json")["class_weights"]
    np.testing.assert_allclose(np.square(roots), weights)


def test_pictures_of_any_size_and_mode_are_predicted_from_the_runs_folder_alone(trained, tmp_path):
    name, folder, *_ = trained
    generator = np.random.default_rng(0)
    sizes = {"a b.png": (70, 90), "é.jpg": (41, 133)}
    for file, size in sizes.items():
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / file)
    before = sorted(path for path in folder.rglob("*"))
    words = f"run={folder} input={tmp_path} output={tmp_path / 'out'}"
    out, err = run("src.predict", words, tmp_path)
    assert err == ""
    assert [line.split("  ")[0] for line in out.splitlines()[:2]] == list(sizes)
    assert sorted(path for path in folder.rglob("*")) == before
    written = {path.name for path in (tmp_path / "out").iterdir()}
    if name == "fcn":
        assert written == {"a b.png", "a b-overlay.png", "é.png", "é-overlay.png"}
        for file, (height, width) in zip(("a b.png", "é.png"), sizes.values(), strict=True):
            with Image.open(tmp_path / "out" / file) as mask:
                assert (mask.mode, mask.size) == ("P", (width, height))
                assert np.asarray(mask).max() <= 10
    elif name == "autoencoder":
        assert written == {"a b.png", "a b-sheet.png", "é.png", "é-sheet.png"}
        with Image.open(tmp_path / "out" / "é.png") as image:
            assert image.size == (28, 28)
    else:
        assert written == {"predictions.csv"}
        with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        assert [row["file"] for row in table] == list(sizes)
        for row in table:
            probabilities = {label: float(row[label]) for label in "0123456789"}
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert row["label"] == max(probabilities, key=probabilities.__getitem__)
            assert float(row["confidence"]) == max(probabilities.values())
    _, err = run("src.predict", words, tmp_path, status=2)
    assert "new or empty folder, or overwrite=true" in err


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_evaluation_finds_the_metrics_that_training_saw(trained, split):
    _, folder, *_ = trained
    before = read(folder / "results.json")
    out, err = run("src.eval", f"run={folder} split={split}", folder)
    after = read(folder / "results.json")
    assert err == ""
    assert out.count("\n") == 1
    assert after["metrics"][split] == pytest.approx(before["metrics"][split], abs=1e-6)


def test_the_last_checkpoint_is_the_last_epoch(trained):
    _, folder, *_ = trained
    run("src.eval", "run=latest checkpoint=last split=val", folder.parent.parent)
    last = rows(folder)[-1]
    found = read(folder / "results.json")["evaluations"]["last-val"]
    assert found["step"] == last["step"]
    assert found["loss"] == pytest.approx(last["val_loss"], abs=1e-6)


def test_the_autoencoder_is_compared_with_the_mean_image_and_with_pca(trained):
    name, folder, *_ = trained
    if name != "autoencoder":
        pytest.skip("only reconstructions have these baselines")
    found = read(folder / "results.json")["evaluations"]["best-test"]
    # The published numbers on the full test set are .0675 and .02354; these are 1,000 digits.
    assert found["mean_image_mse"] == pytest.approx(0.0675, rel=0.05)
    assert found["pca_20_mse"] == pytest.approx(0.0235, rel=0.10)


def test_data_of_another_shape_or_kind_is_refused(trained):
    name, folder, *_ = trained
    other = "mnist_5k" if name == "fcn" else "scenes"
    _, err = run("src.eval", f"run={folder} data={other}", folder, status=2)
    assert "expected data like the run's" in err


def test_a_damaged_checkpoint_is_never_evaluated(trained, tmp_path):
    _, folder, *_ = trained
    copy = tmp_path / "run"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    weights = copy / "checkpoints" / (copy / "checkpoints" / "best").read_text().strip()
    with (weights / "model.weights.h5").open("r+b") as file:
        file.seek(3000)
        file.write(b"\xff\xff\xff\xff")
    _, err = run("src.eval", f"run={copy}", folder, status=2)
    assert "damaged model.weights.h5" in err


def test_ctrl_c_ends_a_run_with_what_it_has(tmp_path):
    words = f"{MODELS['autoencoder']} trainer.epochs=1000 run_dir=run"
    process = start("src.train", words, tmp_path)
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "Traceback" not in err
    assert read(tmp_path / "run" / "results.json")["status"] == "interrupted"
    run("src.eval", "run=run", tmp_path)
    assert "test" in read(tmp_path / "run" / "results.json")["metrics"]


def test_each_job_of_a_multirun_is_the_run_alone_in_a_folder_named_after_it(tmp_path):
    words = "data=mnist_5k trainer.steps=2 seed=3"
    out, _ = run("src.train", f"-m model=lenet5,lenet_mnist {words}", tmp_path)
    (folder,) = tmp_path.glob("outputs/multirun_*")
    made = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert made == ["model=lenet5", "model=lenet_mnist"]
    run("src.train", f"model=lenet5 {words} run_dir=alone", tmp_path)
    alone, job = rows(tmp_path / "alone"), rows(folder / "model=lenet5")
    assert [row["val_loss"] for row in job] == [row["val_loss"] for row in alone]
    table = out.splitlines()[-3:]
    assert table[0].split() == ["job", "validation", "test"]
    assert [line.split()[:2] for line in table[1:]] == [
        ["model=lenet5", "done"],
        ["model=lenet_mnist", "done"],
    ]


def test_a_run_of_steps_ends_inside_an_epoch(tmp_path):
    run("src.train", f"{MODELS['lenet5']} trainer.steps=10 run_dir=run", tmp_path)
    assert [row["step"] for row in rows(tmp_path / "run")] == [7, 10]  # 3,500 digits, 500 a batch


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    words = f"{MODELS['lenet5']} optimizer=sgd optimizer.learning_rate=100 model.output=rbf"
    _, err = run("src.train", f"{words} trainer.epochs=20 run_dir=run", tmp_path, status=2)
    assert re.search(r"expected a finite loss; received loss=\w+ at step \d+ \(", err)


@pytest.mark.parametrize("way", ["removed", "renamed"])
def test_a_run_whose_folder_is_gone_ends_and_does_not_come_back(way, tmp_path):
    words = "model=lenet5 data=mnist_5k trainer.batch_size=500 trainer.epochs=100000 run_dir=run"
    process = start("src.train", words, tmp_path)
    deadline = time.monotonic() + 100
    while not (tmp_path / "run" / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    # In one step; what a removal leaves for a moment is another matter.
    (tmp_path / "run").rename(tmp_path / "gone")
    if way == "removed":
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("error: expected to write to run")
    assert not (tmp_path / "run").exists()
