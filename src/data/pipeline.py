"""Examples to batches.

The order of the training examples, and whatever is random about each, is a function of the seed
and the step alone and needs no state: a run that is resumed at a step goes on with the batch that
it would have had. Images stay bytes until a batch of them has been read by index; then they are
scaled to [0, 1].
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

from src.data.dataset import DataError, Examples, Split
from src.data.noise import NONE, Noise
from src.data.options import untuned
from src.errors import UserError

Preprocess = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_EVALUATION_PIXELS = 2**19


def training_batches(
    split: Examples,
    preprocess: Preprocess,
    batch_size: int,
    seed: int,
    first_step: int,
    last_step: int,
    noise: Noise = NONE,
) -> tf.data.Dataset:
    """Shuffled batches for the steps `first_step` to `last_step - 1`, counted over the whole run.

    Every epoch has a permutation of its own, of which the remainder that fills no batch is left
    out; the next epoch leaves out another.

    Args:
        split: the training examples.
        preprocess: makes the model's input and target of images `[batch, height, width, channels]`
            in [0, 1] and of the targets as they are.
        batch_size: examples a batch, at most `len(split)`.
        seed: of the order and of the augmentation.
        first_step: step to begin with.
        last_step: step to end before.
        noise: of the model's input.
    """
    examples, steps_per_epoch = len(split), len(split) // batch_size
    read = split.training_reader(seed)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, begin = step // steps_per_epoch, step % steps_per_epoch * batch_size
        # The graph knows how many these are, as it would not those of `range(begin, end)`.
        places = tf.range(batch_size, dtype=tf.int64)
        order = tf.random.experimental.index_shuffle(
            begin + places,
            seed=tf.cast([seed, epoch], tf.uint32),
            max_index=tf.cast(examples - 1, tf.int64),
        )
        images, targets = read(order, step * batch_size + places)
        taken, wanted = preprocess(_scaled(images), targets)
        return noise(taken, step), wanted

    return _in_order(tf.data.Dataset.range(first_step, last_step), batch)


def evaluation_batches(
    split: Examples, preprocess: Preprocess, noise: Noise = NONE
) -> tf.data.Dataset:
    """Every example once, in order; the last batch may be smaller.

    The batch size follows from the size of the pictures alone, so that an evaluation adds up in
    the same order, and to the same sum, wherever it is asked for. The noise of a batch is the same
    each time, too.
    """
    read = split.reader()
    height, width, _ = split.image_shape
    # Pictures of different sizes make no batch.
    size = max(1, _EVALUATION_PIXELS // (height * width)) if height and width else 1
    batches = -(-len(split) // size)

    def batch(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        end = tf.minimum((index + 1) * size, len(split))
        images, targets = read(tf.range(index * size, end))
        taken, wanted = preprocess(_scaled(images), targets)
        return noise(taken, -1 - index), wanted

    return _in_order(tf.data.Dataset.range(batches), batch)


def inputs(examples: Split, preprocess: Preprocess, noise: Noise = NONE) -> tf.Tensor:
    """The model's input for a few examples, all at once."""
    taken = preprocess(_scaled(tf.constant(examples.images)), tf.constant(examples.targets))[0]
    return noise(taken, -1)


@contextmanager
def graph_errors() -> Iterator[None]:
    """Raises what went wrong in a graph, of which TensorFlow makes pages of text.

    Raises:
        DataError: an example could not be read.
        UserError: there was not enough memory.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if told := re.search("DataError: (.+)", error.message):
            raise DataError(told[1]) from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            shape = re.search(r"shape\[[\d,]*\]", error.message)
            raise UserError(
                "expected memory for a batch (a smaller trainer.batch_size= or smaller pictures "
                f"take less); received none for a tensor{f' of {shape[0]}' if shape else ''}"
            ) from error
        raise


def _scaled(images: tf.Tensor) -> tf.Tensor:
    """Bytes of pictures to [0, 1]; features of theirs are numbers already."""
    return tf.cast(images, tf.float32) / 255 if images.dtype == tf.uint8 else images


def _in_order(steps: tf.data.Dataset, batch: Callable[[tf.Tensor], object]) -> tf.data.Dataset:
    return steps.map(batch, num_parallel_calls=2).prefetch(4).with_options(untuned())
