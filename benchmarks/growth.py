"""Time and memory of an epoch as the data grow, held in memory and streamed from their files.

    python -m benchmarks.growth [examples] [sizes] [factors]
    python -m benchmarks.growth 50 28 1,2          # to see whether it runs

`examples` pictures of each of `sizes` pixels are written as TensorFlow Datasets would write them,
and read `factors` times over. Each case has a process of its own, which reads its epoch once with
nothing to train and once training a small autoencoder. Prints a line a case: images a second, and
how many mebibytes the peak of the memory lies above what TensorFlow itself took; those of the
decoded data stand beside it.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf
from PIL import Image

from src.config import Autoencoder
from src.data.pipeline import training_batches
from src.data.prepared import decoder
from src.data.sources import mnist_5k
from src.data.streamed import open_records
from src.models.autoencoder import build as build_autoencoder

BATCH = 50


def write(path: Path, examples: int, size: int) -> None:
    """Writes bundled digits, enlarged to `size` pixels, as TFRecords."""
    digits = mnist_5k.read()["train"]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(examples):
            digit = Image.fromarray(digits.images[number % len(digits), ..., 0])
            picture = np.asarray(digit.resize((size, size)))[..., None]
            png, label = tf.io.encode_png(picture).numpy(), int(digits.targets[number % 3500])
            feature = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def peak() -> float:
    """The most memory that this process has had so far, in mebibytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def case(path: Path, examples: int, size: int, factor: int, held: bool) -> dict[str, float]:
    """Reads and trains one epoch."""
    import keras

    model = build_autoencoder(Autoencoder(name="autoencoder", filters=4), (size, size, 1))
    model.compile("sgd", "mse")
    warm = np.zeros((BATCH, size, size, 1), np.float32)
    model.fit(warm, warm, batch_size=BATCH, verbose=0)
    before = peak()
    shape = (size, size, 1)
    data = open_records(
        [path] * factor, examples * factor, decoder(shape), shape, 10, (path.parent, "train")
    )
    split = data.arrays() if held else data
    steps = len(split) // BATCH

    def batches(step: int) -> tf.data.Dataset:
        return training_batches(split, lambda x, _: (x, x), BATCH, 0, step, step + steps)

    begun = time.perf_counter()
    for _ in batches(0):
        pass
    read = time.perf_counter()
    model.fit(batches(steps), steps_per_epoch=steps, shuffle=False, verbose=0)
    trained = time.perf_counter()
    keras.backend.clear_session()
    images = steps * BATCH
    return {
        "read_seconds": read - begun,
        "read_per_second": images / (read - begun),
        "train_seconds": trained - read,
        "train_per_second": images / (trained - read),
        "mebibytes": peak() - before,
        "data_mebibytes": len(split) * (size * size + 4) / 2**20,
    }


def main(examples: int, sizes: list[int], factors: list[int]) -> None:
    """Runs every case in a process of its own and prints a table."""
    print("size  factor          read s  train s  read/s  train/s  peak MiB  data MiB", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for size in sizes:
            write(Path(scratch) / f"{size}.tfrecord", examples, size)
        for size, factor, held in itertools.product(sizes, factors, (True, False)):
            arguments = [f"{scratch}/{size}.tfrecord", examples, size, factor, int(held)]
            command = [sys.executable, "-m", "benchmarks.growth", "case", *map(str, arguments)]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found = json.loads(text.splitlines()[-1])
            print(
                f"{size:4}  {factor:6}  {'held' if held else 'streamed':8}"
                f"{found['read_seconds']:8.2f} {found['train_seconds']:8.2f}"
                f" {found['read_per_second']:7.0f}  {found['train_per_second']:7.0f}"
                f"  {found['mebibytes']:8.0f}  {found['data_mebibytes']:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["case"]:
        count, side, times, in_memory = map(int, sys.argv[3:])
        print(json.dumps(case(Path(sys.argv[2]), count, side, times, bool(in_memory))))
    else:
        given = [*sys.argv[1:], *("2000", "28,64,128", "1,4,16")[len(sys.argv) - 1 :]]
        main(int(given[0]), *(list(map(int, arguments.split(","))) for arguments in given[1:]))
