"""Folders of images and masks: which belong together, and what is wrong told in one line."""

import os
import re
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from src.data.dataset import DataError
from src.data.sources.mask_folder import find
from tests import test_command_line
from tests.commands import read, run, start
from tests.mask_folders import write
from tests.test_resume import assert_equal, stop_after

USUAL = "{split}/*", "{split}annot/*"


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def every(*patterns):
    return [p.replace("{split}", split) for p in patterns for split in ("train", "val", "test")]


def keys(folder, images, masks):
    return [pair.key for pair in find(folder, images, masks)["val"]]


def test_the_usual_layout_is_found_in_the_order_of_the_names(tmp_path):
    touch(tmp_path, *every("{split}/b.png", "{split}/a.v1.JPG", "{split}/c.jpeg"))
    touch(tmp_path, *every("{split}annot/c.png", "{split}annot/b.png", "{split}annot/a.v1.png"))
    # What else lies about: notes of other programs, and another picture's thumbnail.
    touch(tmp_path, *every("{split}/.DS_Store", "{split}/._b.png", "{split}/Thumbs.db"))
    found = find(tmp_path, *USUAL)
    assert list(found) == ["train", "val", "test"]
    assert [pair.key for pair in found["test"]] == ["a.v1", "b", "c"]
    assert found["train"][0].image_path == tmp_path / "train" / "a.v1.JPG"
    assert found["train"][0].mask_path == tmp_path / "trainannot" / "a.v1.png"


def test_other_layouts_are_patterns(tmp_path):
    touch(tmp_path, *every("{split}/images/1.png", "{split}/labels/1.png"))
    assert keys(tmp_path, "{split}/images/*", "{split}/labels/*") == ["1"]
    touch(tmp_path, *every("i/{split}/ulm/ulm_0_i.png", "m/{split}/ulm/ulm_0_m.png"))
    touch(tmp_path, *every("m/{split}/ulm/ulm_0_colour.png"))
    assert keys(tmp_path, "i/{split}/*/*_i", "m/{split}/*/*_m") == ["ulm/ulm_0"]
    touch(tmp_path, *every("both/{split}/x.png", "both/{split}/x_mask.png"))
    assert keys(tmp_path, "both/{split}/*", "both/{split}/*_mask") == ["x"]
    touch(tmp_path, *every("[a]/{split}/x.png", "[b]/{split}/x.png"))
    assert keys(tmp_path, "[a]/{split}/*", "[b]/{split}/*") == ["x"]


def test_an_ending_in_a_pattern_is_taken(tmp_path):
    touch(tmp_path, *every("{split}/a.JPG", "{split}/a.png"))
    assert keys(tmp_path, "{split}/*.jpg", "{split}/*.png") == ["a"]
    with pytest.raises(DataError, match=r"images \(\.webp\) for each .* received no .*/train/\*"):
        find(tmp_path, "{split}/*.webp", "{split}/*.png")


NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("image", "mask"), [(NFC, NFD), (NFD, NFC)], ids=["first", "second"])
def test_an_accent_may_be_one_character_or_two(tmp_path, image, mask):
    touch(tmp_path, *every(f"{{split}}/{image}/{image}_i.png", f"{{split}}/{image}/{mask}_m.png"))
    assert keys(tmp_path, "{split}/*/*_i", "{split}/*/*_m") == [f"{NFC}/{NFC}"]
    # And in the pattern.
    assert keys(tmp_path, f"{{split}}/{mask}/*_i", f"{{split}}/{image}/*_m") == [NFC]
    (pair,) = find(tmp_path, "{split}/*/*_i", "{split}/*/*_m")["val"]
    assert pair.image_path.exists()
    assert pair.mask_path.exists()


def test_two_images_of_one_name_are_refused(tmp_path):
    touch(tmp_path, *every("{split}/a.png", "{split}/a.jpg", "{split}annot/a.png"))
    with pytest.raises(DataError, match=r"a\.png: expected one file .*; received .*a\.jpg too"):
        find(tmp_path, *USUAL)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Six training pictures of 40x60 pixels; three classes."""
    return write(tmp_path_factory.mktemp("masks") / "data", [(40, 60)])


def broken(name, change):
    return lambda data: (data / name).write_bytes(change((data / name).read_bytes()))


def repainted(name, array):
    return lambda data: Image.fromarray(array).save(data / name)


def unchanged(data):
    del data


MASK = np.zeros((40, 60), np.uint8)
# what happens to the folder, more words, what the line must say
MISTAKES = [
    (unchanged, "data.dir=null", "expected data.dir=, a folder of images and masks; received none"),
    (unchanged, "data.dir=nowhere", "expected data.dir as a folder .*; received /.*/nowhere"),
    (
        lambda data: shutil.rmtree(data / "test"),
        "",
        r"for each of train, val and test; received no /.*data/test/\* ",
    ),
    (
        lambda data: (data / "valannot/01.png").unlink(),
        "",
        r"/data/val/01.png: expected a mask /.*/data/valannot/01\.png; received none",
    ),
    (
        lambda data: (data / "train/02.png").unlink(),
        "",
        r"/data/trainannot/02.png: expected an image /.*/data/train/02; received none",
    ),
    (broken("train/03.png", lambda d: d[:-60]), "", "train/03.png: expected a whole picture; rec"),
    (
        broken("train/03.png", lambda d: b""),
        "",
        r"train/03.png: expected a picture \(png, .*\); received anot",
    ),
    (broken("testannot/03.png", lambda d: d[:-30]), "", "testannot/03.png: expected a whole pict"),
    (
        broken("val/00.png", lambda d: b"GIF"),
        "",
        r"val/00.png: expected a picture \(png, .*\); received anoth",
    ),
    (repainted("valannot/00.png", MASK[1:]), "", "valannot/00.png: expected 40x60 .*; .* 39x60"),
    (repainted("valannot/00.png", MASK + 3), "", "valannot/00.png: .* 0 to 2; received label 3"),
    (unchanged, "data.void=11 data.classes=2", "00.png: .* 0 to 1 or 11 for void; .* label 2"),
    (repainted("trainannot/04.png", np.dstack([MASK] * 3)), "", "04.png: .* PNG of 8-bit RGB"),
    (
        lambda data: write(data / "x", [(40, 60), (40, 61)]) and unchanged(data),
        "data.dir=data/x",
        "train/01.png: expected 40x60 pixels like the first training picture, .* received 40x61",
    ),
    (unchanged, "data.height=48 data.width=48", "train/00.png: expected at least 48x48 .* 40x60"),
    (
        unchanged,
        "data.height=32 data.width=32 data.scale=[0.5,1]",
        "train/00.png: expected at least 64x64 pixels .* or a void label .*; received 40x60",
    ),
    (
        lambda data: (data / "train/05.png").unlink() or (data / "train/05.png").mkdir(),
        "",
        "train/05.png: expected a regular file; received a folder",
    ),
]


@pytest.mark.parametrize(("change", "words", "line"), MISTAKES, ids=[m[2] for m in MISTAKES])
def test_a_mistake_is_answered_in_one_line(sample, tmp_path, change, words, line):
    shutil.copytree(sample, tmp_path / "data")
    change(tmp_path / "data")
    usual = "model=fcn data=mask_folder data.dir=data data.classes=3"
    test_command_line.refused(f"{usual} {words}", line, tmp_path)


def test_splits_of_nothing_but_void_have_scores_of_none_and_cost_nothing(tmp_path):
    folder = write(tmp_path / "data", [(40, 60)], classes=2)
    for path in [*(folder / "valannot").iterdir(), *(folder / "testannot").iterdir()]:
        Image.fromarray(MASK + 255).save(path)
    words = f"model=fcn model.filters=2 data=mask_folder data.dir={folder} data.classes=2"
    words += " data.void=255 trainer.batch_size=2 trainer.epochs=2 trainer.patience=1 run_dir=run"
    out, err = run("src.train", words, tmp_path)
    assert "Traceback" not in err
    assert [re.search(r"mean_iou \S+/-  ", line) is not None for line in out.splitlines()[2:4]] == [
        True,
        True,
    ]
    found = read(tmp_path / "run" / "results.json")
    assert found["status"] == "finished"
    assert found["metrics"]["val"]["mean_iou"] is None
    assert found["metrics"]["test"] == {
        "loss": 0.0,
        "mean_iou": None,
        "global_accuracy": None,
        "class_accuracy": None,
    }
    assert set(found["evaluations"]["best-test"]["class_iou"].values()) == {None}
    assert found["evaluations"]["best-val"]["step"] == 6
    assert (tmp_path / "run" / "figures" / "confusion_matrix-best-test.png").exists()
    run("src.train", "resume=run trainer.epochs=3", tmp_path)
    assert read(tmp_path / "run" / "results.json")["steps"] == 9


def test_a_name_that_is_no_text_is_learned_and_told_escaped(sample, tmp_path):
    shutil.copytree(sample, tmp_path / "data")
    for folder in ("train", "trainannot"):
        name = os.path.join(os.fsencode(tmp_path / "data" / folder), b"caf\xe9.png")
        os.rename(tmp_path / "data" / folder / "00.png", name)
    words = "model=fcn model.filters=2 data=mask_folder data.dir=data data.classes=3"
    words += " trainer.batch_size=2 trainer.steps=1"
    run("src.train", f"{words} run_dir=run", tmp_path)
    renamed = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.rename(tmp_path / "data", renamed)
    other = words.replace("data.dir=data", f"data.dir={os.fsdecode(renamed)}")
    run("src.train", f"{other} run_dir=other", tmp_path)
    run("src.train", "resume=other trainer.steps=2", tmp_path)
    assert read(tmp_path / "other" / "results.json")["data"]["source"].endswith(r"/caf\xe9")
    os.rename(renamed, tmp_path / "data")
    os.unlink(os.path.join(os.fsencode(tmp_path / "data" / "trainannot"), b"caf\xe9.png"))
    _, err = run("src.train", words, tmp_path, status=2)
    assert err.startswith("error: ")
    assert r"/data/train/caf\xe9.png: expected a mask" in err


def test_folders_whose_names_are_no_text_hold_runs_and_predictions(sample, tmp_path):
    folder, output = (os.fsdecode(name + b"\xe9") for name in (b"run", b"masks"))
    words = f"model=fcn model.filters=2 data=mask_folder data.dir={sample} data.classes=3"
    words += f" trainer.batch_size=2 trainer.epochs=1 run_dir={folder}"
    for module, more in (
        ("train", words),
        ("train", f"resume={folder} trainer.epochs=2"),
        ("eval", f"run={folder} split=val"),
        ("predict", f"run={folder} input={sample}/test output={output}"),
    ):
        run(f"src.{module}", more, tmp_path, errors="replace")
    assert read(tmp_path / folder / "results.json")["steps"] == 6
    assert (tmp_path / output / "03-overlay.png").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_may_not_be_entered_is_told(sample, tmp_path):
    shutil.copytree(sample, tmp_path / "data")
    (tmp_path / "data" / "val").chmod(0o000)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    child = os.fork()
    if not child:
        os.setuid(65534)
        try:
            find(tmp_path / "data", *USUAL)
        except DataError as error:
            os._exit(0 if str(error).endswith("val cannot be entered") else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_run_that_was_stopped_ends_as_if_left_alone_and_is_evaluated(sample, tmp_path):
    words = (
        f"model=fcn model.filters=2 data=mask_folder data.dir={sample} data.classes=3 "
        "data.names=[a,b,c] data.scale=[1,2] trainer.batch_size=2 trainer.epochs=4 "
        "trainer.checkpoint_every=1 trainer.precision=float32 trainer.pictures=2"
    )
    run("src.train", f"{words} run_dir=alone", tmp_path)
    process = start("src.train", f"{words} run_dir=stopped", tmp_path)
    stopped = stop_after(process, tmp_path / "stopped", 0, signal.SIGTERM)
    assert stopped in (75, 0)
    # Whether pictures are kept or decoded again makes no difference.
    run("src.train", "resume=stopped ++data.memory_budget=1", tmp_path)
    assert_equal(tmp_path / "alone", tmp_path / "stopped")
    other = write(tmp_path / "other", [(48, 36)])
    words = f"run=alone split=val data=mask_folder data.dir={other} data.classes=3"
    run("src.eval", words, tmp_path)
    found = read(tmp_path / "alone" / "results.json")
    assert set(found["metrics"]) == {"train", "val", "test"}
    assert "best-val-mask_folder" in found["evaluations"]


def test_pictures_of_many_sizes_with_void_are_learned_and_predicted(tmp_path):
    folder = write(tmp_path / "data", [(40, 60), (49, 37), (97, 33)])
    # Of the labels 0 to 2 the last is void.
    words = (
        f"model=fcn model.filters=2 data=mask_folder data.dir={folder} data.classes=2 data.void=2 "
        "data.height=32 data.width=48 data.scale=[0.75,1.5] trainer.batch_size=2 "
        "trainer.class_weights=median_frequency trainer.epochs=2 run_dir=run"
    )
    out, _ = run("src.train", words, tmp_path)
    assert "class weights: 0 " in out
    run("src.eval", "run=run split=val", tmp_path)
    found = read(tmp_path / "run" / "results.json")
    assert found["data"]["image_shape"] == [None, None, 3]
    assert set(found["evaluations"]["best-test"]["class_iou"]) == {"0", "1"}
    run("src.predict", f"run=run input={folder / 'test'} output=masks", tmp_path)
    for path in (folder / "test").iterdir():
        mask = Image.open(tmp_path / "masks" / path.name)
        assert mask.size == Image.open(path).size
        assert set(np.unique(mask)) <= {0, 1}


def test_evaluation_and_prediction_may_see_the_mirror_image_too(sample, tmp_path):
    words = (
        f"model=fcn model.filters=4 data=mask_folder data.dir={sample} data.classes=3 "
        "trainer.batch_size=2 trainer.epochs=8 optimizer.learning_rate=0.03"
    )
    run("src.train", f"{words} run_dir=plain", tmp_path)
    run("src.train", f"{words} trainer.test_time_flip=true run_dir=flips", tmp_path)
    plain, flips = (read(tmp_path / name / "results.json") for name in ("plain", "flips"))
    assert plain["metrics"]["train"] == flips["metrics"]["train"]
    assert plain["metrics"]["test"]["loss"] != flips["metrics"]["test"]["loss"]
    run("src.eval", "run=flips split=test", tmp_path)
    again = read(tmp_path / "flips" / "results.json")
    assert again["metrics"]["test"] == flips["metrics"]["test"]
    # A picture and its mirror image are predicted alike.
    picture = Image.open(sample / "test" / "00.png")
    (tmp_path / "both").mkdir()
    picture.save(tmp_path / "both" / "a.png")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "both" / "b.png")
    for name, same in (("plain", False), ("flips", True)):
        run("src.predict", f"run={name} input=both output={name}-masks", tmp_path)
        a, b = (np.asarray(Image.open(tmp_path / f"{name}-masks" / f"{n}.png")) for n in "ab")
        assert np.array_equal(a, b[:, ::-1]) == same


def test_a_folder_that_changed_is_not_what_the_run_was_trained_on(sample, tmp_path):
    shutil.copytree(sample, tmp_path / "data")
    words = "model=fcn model.filters=2 data=mask_folder data.dir=data data.classes=3"
    run("src.train", f"{words} trainer.batch_size=2 trainer.steps=1 run_dir=run", tmp_path)
    repainted("train/01.png", np.zeros((40, 60, 3), np.uint8))(tmp_path / "data")
    _, err = run("src.train", "resume=run trainer.steps=2", tmp_path, status=2)
    assert "expected the run's own data" in err
