"""Runs the project's commands as a user does, in a process of their own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREPARED = ROOT.parent / "shared" / "tensorflow_datasets"
SCENES = "data.train_scenes=40 data.val_scenes=20 data.test_scenes=20"
# Seven steps an epoch on 3,500 digits; four on the scenes.
MODELS = {
    "lenet5": "model=lenet5 data=mnist_5k trainer.batch_size=500",
    "lenet_mnist": "model=lenet_mnist data=mnist_5k trainer.batch_size=500",
    "autoencoder": "model=autoencoder data=mnist_5k trainer.batch_size=500",
    "fcn": f"model=fcn model.filters=4 data=scenes {SCENES} trainer.batch_size=10",
}


def start(module, words, folder, tf_config="", **options):
    """Starts `python -m module words` in a folder; a word with a space comes in a list."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": tf_config}
    if PREPARED.is_dir():
        environment["TFDS_DATA_DIR"] = str(PREPARED)
    return subprocess.Popen(
        [sys.executable, "-m", module, *(words.split() if isinstance(words, str) else words)],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(module, words, folder, status=0, **options):
    """Runs a command to its end; returns what it printed to standard output and error."""
    process = start(module, words, folder, **options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, (process.returncode, out, err)
    return out, err


def wait_for(path):
    """Waits for a file that a process writes."""
    begun = time.monotonic()
    while not path.exists():
        assert time.monotonic() - begun < 300, path
        time.sleep(0.05)


def read(path):
    """Reads a JSON file."""
    return json.loads(path.read_text())


def rows(folder):
    """Reads a run's `metrics.jsonl`."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
