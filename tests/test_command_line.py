"""Mistakes on the command line: one line, exit status 2, nothing written, no TensorFlow."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent

# words, what the line must name
TRAIN = [
    (
        "model=resnet",
        "model: expected one of autoencoder, fcn, lenet5, lenet_mnist, transfer; received 'res",
    ),
    ("data=imagenet", "data: expected one of .*mnist.*; received 'imagenet'"),
    ("optimizer=lion", "optimizer: expected one of adam, sgd; received 'lion'"),
    ("model", "expected arguments of the form key=value; received 'model'"),
    ("=3", "expected arguments that compose; received =3"),
    ("trainer.epoch=3", r"expected a known key; received trainer.epoch \(trainer.epochs\?\)"),
    ("+trainer.epoch=3", "a known key; received trainer.epoch .trainer.epochs.."),
    ("epochs=3", "expected a known key; received epochs"),
    ("model.c3=sparse", "expected a known key; received model.c3"),
    ("trainer.epochs=0", "trainer.epochs: .*1; received 0"),
    ("trainer.epochs=-3", "trainer.epochs: .*1; received -3"),
    ("trainer.epochs=many", "trainer.epochs: expected a valid integer; received 'many'"),
    ("trainer.epochs=2.5", "trainer.epochs: expected .*integer; received 2.5"),
    ("trainer.epochs=true", "trainer.epochs: expected .*integer; received True"),
    ("trainer.epochs=[1,2]", r"trainer.epochs: expected .*integer; received \[1, 2\]"),
    ("trainer.epochs=null", "trainer.epochs: expected .*integer; received None"),
    ("trainer.steps=0", "trainer.steps: .*1; received 0"),
    ("trainer.batch_size=0", "trainer.batch_size: .*1; received 0"),
    ("trainer.batch_size=1e12", "trainer.batch_size: .*; received 1000000000000.0"),
    ("trainer.checkpoint_every=-1", "trainer.checkpoint_every: .*; received -1"),
    ("trainer.keep=0", "trainer.keep: .*1; received 0"),
    ("trainer.precision=float16", "trainer.precision: .*'bfloat16'; received 'float16'"),
    ("trainer.shards=0", "trainer.shards: .*1; received 0"),
    ("model=lenet5 trainer.shards=3", "trainer.shards to divide trainer.batch_size=100; .*=3"),
    ("model=fcn trainer.shards=2", "trainer.shards=1 for model=fcn, .*received trainer.shards=2"),
    ("trainer=null", "trainer: expected one of default; received 'null'"),
    ("seed=-1", "seed: .*0; received -1"),
    ("seed=4294967296", "seed: .*4294967296; received 4294967296"),
    ("optimizer.learning_rate=nan", "optimizer.learning_rate: expected a finite number; .*nan"),
    ("optimizer.learning_rate=inf", "optimizer.learning_rate: expected a finite number; .*inf"),
    ("optimizer.learning_rate=0", "optimizer.learning_rate: .*0; received 0"),
    ("optimizer.learning_rate=-0.1", "optimizer.learning_rate: .*0; received -0.1"),
    ("optimizer.momentum=0.9", "optimizer.momentum=0 with optimizer=adam .* received .*=0.9"),
    ("optimizer.schedule=linear", "optimizer.schedule: .*; received 'linear'"),
    ("model.latent=0", "model.latent: .*1; received 0"),
    ("model.decoder=unet", "model.decoder: .*'average_unpool'; received 'unet'"),
    ("model=lenet_mnist model.dropout=1", "model.dropout: .*1; received 1"),
    ("trainer.label_smoothing=0.1", "trainer.label_smoothing=0 .*received .*model=autoencoder"),
    ("model=lenet5 trainer.label_smoothing=1", "trainer.label_smoothing: .*1; received 1"),
    ("model=lenet5 model.output=svm", "model.output: .*'rbf'; received 'svm'"),
    ("model=fcn data=mnist", "data=.*scenes.* for model=fcn; received data=mnist"),
    ("model=fcn model.stride=2", "model.stride: expected 32, 16, 8 or 4; received 2"),
    (
        "model=fcn model.stride=32 data.height=28 data.max_digits=2",
        "model.stride of at most the shorter side, 28 pixels; received model.stride=32",
    ),
    ("model=fcn model.backbone=resnet", "model.backbone: expected .*'vgg16'; received 'resnet'"),
    ("model=fcn model.convolutions=[1,1]", "model.convolutions: .*5 items.*; received"),
    (
        "model=fcn model.backbone=vgg16 model.filters=8",
        "model.filters=16 with model.backbone=vgg16, .*; received model.filters=8",
    ),
    ("model=fcn model.weights=imagenet", "model.weights=null with model.backbone=small.*imagenet"),
    (
        "model=fcn model.decoder=unpool model.stride=16",
        "model.stride=8 with model.decoder=unpool, .*; received model.stride=16",
    ),
    ("model=fcn model.freeze_upsampling=true", "score_channels=null with .*; received .*=48"),
    (
        "model=fcn model.backbone=vgg16 model.weights=imagenet model.init_from=src",
        "model.weights=null with model.init_from, .*; received model.weights=imagenet",
    ),
    ("model=fcn model.backbone=vgg16 model.weights=gone.h5", "weights file .*gone.h5"),
    ("model=fcn model.backbone=vgg16 model.weights=random", "imagenet or null; .*weights=random"),
    ("model=transfer data.dir=x model.weights=gone.h5", "imagenet or random; .*gone.h5"),
    ("model=fcn model.init_from=nowhere", "model.init_from: expected a run's folder.*/nowhere"),
    ("model=fcn data.max_digits=7", "max_digits of at most 6 .*; received data.max_digits=7"),
    ("model=fcn data.noise=2", "data.noise: .*1; received 2"),
    ("model=lenet5 data.noise=0.3", "data.noise=0 .*; received data.noise=0.3 with model=lenet5"),
    ("model=transfer data.dir=x data.variants=1", "2 or more with data.flip=True, .*variants=1"),
    (
        "model=transfer data.dir=x data.flip=false data.variants=1 data.scale=[1,2]",
        r"data.variants of 2 or more with data.scale=\[1",
    ),
    ("model=lenet5 data=image_folder data.dir=x data.variants=3", "data.variants=2 .*variants=3"),
    (
        "model=transfer data.dir=x model.fine_tune=12 model.backbone=vgg16",
        "model.fine_tune of at most the 5 blocks of vgg16; received model.fine_tune=12",
    ),
    (
        "model=transfer data.dir=x model.fine_tune_rate=0.1",
        "model.fine_tune_rate=1e-05 without model.fine_tune; received model.fine_tune_rate=0.1",
    ),
    (
        "model=transfer data.dir=x model.fine_tune=1 trainer.epochs=40",
        "trainer.epochs beyond model.fine_tune_after=40, .*; received trainer.epochs=40",
    ),
    (
        "model=transfer data.dir=x model.fine_tune=1 trainer.patience=3",
        "trainer.patience=null with model.fine_tune, .*; received trainer.patience=3",
    ),
    (
        "model=transfer data.dir=x data.flip=false data.variants=1 data.colour=0.1",
        "data.variants of 2 or more with data.colour=0.1, .*; received data.variants=1",
    ),
    (
        "model=lenet5 model.c3=sparse data=photographs",
        "expected 10 classes for model=lenet5 .* or model.output=softmax; received 3 classes",
    ),
    (
        "model=autoencoder data=image_folder data.dir=x data.height=30 data.width=30",
        "expected height and width that 4 divides for model=autoencoder; received 30x30",
    ),
    ("model=lenet5 data=scenes", "one label an image .*; received data=scenes"),
    ("data=scenes data.height=62", "4 divides .*; received 62x84"),
    (
        "trainer.class_weights=median_frequency",
        "class_weights=null for model=autoencoder, whose task is recon.*=median_frequency",
    ),
    (
        "model=lenet5 trainer.class_weights=median_frequency",
        "class_weights=balanced or null for model=lenet5, .* received .*=median_frequency",
    ),
    (
        "model=fcn trainer.class_weights=inverse",
        "trainer.class_weights: expected 'median_frequency' or 'balanced'; received 'inverse'",
    ),
    (
        "model=fcn trainer.class_weights_power=0.5",
        "class_weights_power=1 without trainer.class_weights; received .*=0.5",
    ),
    (
        "model=transfer data=photographs trainer.test_time_flip=true",
        "test_time_flip=false for model=transfer, which is given features .*; received .*=true",
    ),
    ("model=lenet5 data=mask_folder", "one label an image .*; received data=mask_folder"),
    ("data=oxford_iiit_pet", "for model=autoencoder; received data=oxford_iiit_pet"),
    (
        "model=fcn data=mask_folder data.height=24 data.width=99 model.stride=32",
        "model.stride of at most the shorter side, 24 pixels; received model.stride=32",
    ),
    ("model=fcn data=mask_folder data.height=64", "or neither; .*height=64 and data.width=None"),
    ("model=fcn data=mask_folder data.scale=[2,1]", r"the smaller first; .*=\[2.0, 1.0\]"),
    ("model=fcn data=mask_folder data.scale=[0,1]", "data.scale.0: .*0.1; received 0"),
    ("model=fcn data=mask_folder data.void=1", "0 to 1; received data.void=1"),
    ("model=fcn data=mask_folder data.names=[sky]", "data.names for each .*=2; received 1"),
    ("model=fcn data=mask_folder data.colours=[[0,0],[1,1,1]]", "data.colours.0: .* 3 items"),
    ("model=fcn data=mask_folder data.images=images", r"with \{split\} and at least one \*; .*=im"),
    ("experiment=street", "expected data.dir=, a folder of images and masks; received none"),
    ("data.val_examples=0", "data.val_examples: .*1; received 0"),
    ("data.dir=[a]", r"data.dir: expected .*string; received \['a'\]"),
    ("data.val_examples=${nothing}", "expected arguments that compose; received data.val.*nothing"),
    ("run_dir=pyproject.toml", "expected a new or empty folder; received run_dir=pyproject.toml"),
    ("run_dir=src", "expected a new or empty folder; received run_dir=src"),
    (
        "run_dir=pyproject.toml/run",
        "a folder that can be written to; received .*toml/run",
    ),
    ("resume=nowhere", "expected a run's folder, with its config.yaml; received run=nowhere"),
    ("resume=pyproject.toml", "expected a run's folder, .*; received run=pyproject.toml"),
    ("resume=src", "expected a run's folder, with its config.yaml; received run=src"),
    ("resume=latest", "expected a run below .*outputs; received run=latest"),
    ("force=maybe", "force: expected a valid boolean; received 'maybe'"),
    ("optimizer.schedule=plateau optimizer.warmup_steps=5", "warmup_steps=0 with .*; .*_steps=5"),
    ("optimizer.plateau_epochs=0", "optimizer.plateau_epochs: .*1; received 0"),
    ("trainer.patience=0", "trainer.patience: .*1; received 0"),
    ("trainer.ema=1", "trainer.ema: .*1; received 1"),
    ("trainer.batch_size=[1,", r"trainer.batch_size: expected a valid integer; received '\[1,'"),
    ("data.dir=nowhere", "expected data.dir to hold mnist/.*; received data.dir=nowhere"),
    ("data.idx_dir=pyproject.toml", "expected .*; received .*pyproject.toml"),
    ("-m trainer.epochs=0,-1", "trainer.epochs: .*; received 0"),
    ("experiment=secret", "experiment: expected one of .*; received 'secret'"),
]
# What Hydra would do besides composing: import, unpickle, make folders.
TRAIN += [
    ("hydra.run.dir=x", "none of Hydra's own keys .*; received hydra.run.dir="),
    ("+hydra.callbacks.a._target_=numpy.load", "received hydra.callbacks.a._target_="),
    ("hydra.output_subdir=x", "received hydra.output_subdir="),
    ("hydra.searchpath=[theirs]", "received hydra.searchpath="),
    ("hydra/job_logging=default", "received hydra/job_logging="),
    ("-m hydra/launcher=theirs", "hydra/launcher: .*received theirs"),
    ("hydra/launcher=joblib", "expected -m with a launcher"),
    ("-m hydra.launcher._target_=os.system", "hydra.launcher._target_: .*received os.system"),
    ("hydra.mode=MULTIRUN", "received hydra.mode="),
    ("--config-dir=theirs", "expected key=value, -m, .*; received --config-dir=theirs"),
    ("--config-path=/tmp", "received --config-path=/tmp"),
    ("--config-name=eval", "received --config-name=eval"),
    ("--experimental-rerun x.pickle", "received --experimental-rerun"),
    ("--epochs 3", r"received --epochs \(trainer.epochs\?\)"),
    ("-p x", "received -p"),
    ("--cfg hydra", "expected --cfg job; received --cfg hydra"),
    ("experiment=../../theirs", "experiment: expected one of .*; received '../../theirs'"),
    ("-m model=lenet5,/tmp/theirs", "model: expected one of .*; received '/tmp/theirs'"),
    ("+theirs@hydra=x", "expected a known key; received theirs@hydra"),
    ("model@hydra=fcn", "expected a known key; received model@hydra"),
    ("~force", "expected arguments of the form key=value; received '~force'"),
    ("~seed=0", "expected key=value, which takes nothing away; received ~seed=0"),
    ("model=lenet", r"received 'lenet' \(lenet5\?\)"),
    ("seed=0,1", "seed: expected one value, or -m to run each; received 0,1"),
    (f"trainer.epochs={'9' * 5000}", "trainer.epochs: expected .*; received '999"),
    (f"trainer.epochs={'[' * 5000}", r"trainer.epochs: expected .*; received '\[\["),
    ("run_dir=" + "x" * 30_000, "arguments of at most 20,000 characters; .*xx"),
    ("trainer.epochs", "expected arguments of the form key=value; received 'trainer.epochs'"),
]
EVAL = [
    ("run=nowhere", "expected a run's folder, with its config.yaml; received run=nowhere"),
    ("run=src", "expected a run's folder, with its config.yaml; received run=src"),
    ("checkpoint=newest", "checkpoint: expected 'best' or 'last'; received 'newest'"),
    ("split=dev", "split: expected 'train', 'val' or 'test'; received 'dev'"),
    ("data=imagenet", "data: expected one of .*; received 'imagenet'"),
    ("runs=latest", "expected a known key; received runs"),
]

PREDICT = [
    ("", "input"),
    ("input=nowhere", "a picture or a folder with pictures .*; received input=nowhere"),
    ("input=src", "a picture or a folder with pictures .*; received input=src"),
    ("input=pyproject.toml", r"pyproject.toml: expected a picture \(.*; received another file"),
    ("input=broken", r"broken/b.png: expected a .*picture.*; received"),
    ("input=a.png checkpoint=newest", "checkpoint: expected 'best' or 'last'; received 'newest'"),
    ("input=a.png invert=maybe", "invert: expected .*boolean; received 'maybe'"),
    ("input=a.png overwrite=1", "overwrite: expected .*boolean; received 1"),
    ("input=a.png run=nowhere", "expected a run's folder, .*; received run=nowhere"),
    ("input=a.png output=src", "a new or empty folder, or overwrite=true; received src"),
    ("input=a.png output=a.png", "a new or empty folder; received a.png"),
    ("input=twins output=twins overwrite=true", "apart from the pictures .*; received twins"),
    ("input=twins", "names of their own; received a.jpg and a.png, both with a.png"),
    ("input=a.png data=mnist", "expected a known key; received data"),
    ("input=[a.png]", "input: expected .*string; received"),
]

# The module cannot be imported, so that a mistake that needs TensorFlow to be noticed shows.
RUN = "import sys, runpy; sys.modules['tensorflow'] = None; sys.argv = sys.argv[1:]; "
RUN += "runpy.run_module(sys.argv[0], run_name='__main__')"


def run(module, words, folder):
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(folder)}
    command = [sys.executable, "-c", RUN, module, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def refused(words, line, folder):
    """A training that is answered in one line, before anything is written."""
    ended = run("src.train", words.split(), folder)
    assert ended.returncode == 2, ended.stderr
    assert re.fullmatch(r"error: [^\n]+\n", ended.stderr), ended.stderr
    assert re.search(line, ended.stderr), ended.stderr
    assert not (folder / "outputs").exists()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "something").touch()
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


@pytest.fixture
def run_and_pictures(folder):
    """The same, with a segmentation's run and pictures good and bad."""
    settings = "model: {name: fcn}\ndata: {name: scenes}\noptimizer: {name: adam}\ntrainer: {}\n"
    (folder / "outputs" / "run").mkdir(parents=True)
    (folder / "outputs" / "run" / "config.yaml").write_text(settings)
    for name in ("a.png", "broken/a.png", "twins/a.png", "twins/a.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(folder / name)
    (folder / "broken" / "b.png").write_bytes((folder / "a.png").read_bytes()[:40])
    return folder


@pytest.mark.parametrize(
    ("module", "words", "named"),
    [("src.train", *case) for case in TRAIN] + [("src.eval", *case) for case in EVAL],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_a_mistake_is_answered_in_one_line(module, words, named, folder):
    before = sorted(folder.rglob("*"))
    ended = run(module, words.split(), folder)
    assert ended.returncode == 2, ended.stderr
    jobs = 2 if "0,-1" in words else 1
    assert re.fullmatch(rf"(error: [^\n]+\n){{{jobs}}}", ended.stderr), ended.stderr
    assert re.search(named, ended.stderr), ended.stderr
    assert ended.stdout == ""
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("words", "named"), PREDICT, ids=[words for words, _ in PREDICT])
def test_a_mistake_in_predicting_is_answered_before_anything_is_written(
    words, named, run_and_pictures
):
    test_a_mistake_is_answered_in_one_line("src.predict", words, named, run_and_pictures)


def test_the_jobs_of_a_multirun_are_checked_before_the_first_begins(folder):
    ended = run("src.train", ["seed=0,-1", "-m", "run_dir=new"], folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: seed: expected greater than or equal to 0; received -1\n"
    assert not (folder / "new").exists()


def test_a_mistake_is_one_line_whatever_its_words_hold(folder):
    ended = run("src.predict", ["input=a\nb\x1b[2J"], folder)
    assert ended.stderr.count("\n") == 1
    assert "\x1b" not in ended.stderr
    ended = run("src.train", ["data.dir=" + "x" * 10_000, "data=mnist"], folder)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert len(ended.stderr) < 700


def test_what_the_user_wrote_is_what_is_meant(run_and_pictures):
    folder = run_and_pictures
    for name in ("2024_01_31", "1e-3", "1.10", "a,b.png", "it's", "0x1f"):
        ended = run("src.predict", [f"input={name}"], folder)
        assert f"received input={name} " in ended.stderr, ended.stderr


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_explains_each_key_in_the_words_of_the_schema(flag, folder):
    out = run("src.train", [flag], folder).stdout
    assert "trainer.batch_size=100          training examples a step, over all devices\n" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    out = run("src.train", [flag, "trainer", "model=lenet5"], folder).stdout
    assert "trainer.epochs=25\n    passes over the training set, rounded down" in out
    ended = run("src.train", [flag, "nothing"], folder)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


def test_a_command_tells_its_configuration_and_its_version(folder):
    assert (
        "batch_size: 7\n"
        in run("src.train", ["--cfg", "job", "trainer.batch_size=7"], folder).stdout
    )
    assert re.fullmatch(r"\w+ \d+\.\d+\.\d+\n", run("src.eval", ["--version"], folder).stdout)


def test_a_command_may_be_called_by_its_file(folder):
    command = [sys.executable, ROOT / "src" / "train.py", "seed=-1"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ended.stderr == "error: seed: expected greater than or equal to 0; received -1\n"
    ended = subprocess.run([sys.executable, "-m", "src"], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("module", ["src.train", "src.eval", "src.predict"])
def test_help_needs_no_tensorflow(module, folder):
    ended = run(module, ["--help"], folder)
    assert ended.returncode == 0, ended.stderr
    assert f"python -m {module}" in ended.stdout


def test_a_configuration_edited_by_hand_is_checked_like_the_command_line(folder):
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text("model: {name: lenet5, c3: full}\n")
    ended = run("src.eval", ["run=run"], folder)
    assert ended.returncode == 2
    assert re.search(r"run/config.yaml: model.c3: .*; received 'full'", ended.stderr)
    (folder / "run" / "config.yaml").write_text("model: [\n")
    assert "expected a readable run configuration" in run("src.eval", ["run=run"], folder).stderr


def test_a_configuration_cannot_make_the_program_run_code(folder):
    (folder / "run").mkdir()
    attack = "model: !!python/object/apply:os.system ['touch owned']\n"
    (folder / "run" / "config.yaml").write_text(attack)
    ended = run("src.eval", ["run=run"], folder)
    assert ended.returncode == 2
    assert not (folder / "owned").exists()
