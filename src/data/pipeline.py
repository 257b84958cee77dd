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
from dataclasses import dataclass

import tensorflow as tf

from src.data.dataset import DataError
from src.data.examples import Examples, Split
from src.data.noise import NONE, Noise
from src.data.options import untuned
from src.errors import UserError

Preprocess = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_EVALUATION_PIXELS = 2**19


@dataclass(frozen=True)
class Share:
    """What a process trains of each batch: `count` of its `of` equal parts, from number `first`."""

    first: int = 0
    count: int = 1
    of: int = 1


WHOLE = Share()


def training_batches(
    split: Examples,
    preprocess: Preprocess,
    batch_size: int,
    seed: int,
    first_step: int,
    last_step: int,
    noise: Noise = NONE,
    share: Share = WHOLE,
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
        share: the parts to read; the parts of one step come one after another, and after the last
            step the first. What each example is follows from its place in the whole batch.
    """
    size = batch_size // share.of
    examples, steps_per_epoch = len(split), len(split) // batch_size
    read = split.training_reader(seed)

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step, part = number // share.count, share.first + number % share.count
        epoch, begin = step // steps_per_epoch, step % steps_per_epoch * batch_size
        # So the graph knows how many there are, which `range(begin, end)` would not tell it.
        places = part * size + tf.range(size, dtype=tf.int64)
        order = tf.random.experimental.index_shuffle(
            begin + places,
            seed=tf.cast([seed, epoch], tf.uint32),
            max_index=tf.cast(examples - 1, tf.int64),
        )
        images, targets = read(order, step * batch_size + places)
        taken, wanted = preprocess(_scaled(images), targets)
        return noise(taken, step, part, share.of), wanted

    numbers = tf.data.Dataset.range(first_step * share.count, last_step * share.count)
    batches = _in_order(numbers, batch)
    # Of a data set that ends, TensorFlow's strategies ask all workers before each step whether it
    # has ended.
    return batches if share == WHOLE else batches.repeat()


def evaluation_batches(
    split: Examples, preprocess: Preprocess, noise: Noise = NONE, share: Share = WHOLE
) -> tf.data.Dataset:
    """Every example once, in order; the last batch may be smaller.

    The batch size follows from the size of the pictures alone, so that an evaluation adds up in
    the same order, and to the same sum, wherever it is asked for. The noise of a batch is the same
    each time, too.

    Of several processes each reads some of these batches: in round r the replicas take `r * of` to
    `r * of + of - 1`. Then a third value says whether it is a batch or, in the last round, one that
    only fills up, and the rounds repeat.
    """
    read = split.reader()
    size, batches = _evaluation_size(split), _evaluations(split)

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        index = number // share.count * share.of + share.first + number % share.count
        there, index = index < batches, tf.minimum(index, batches - 1)
        end = tf.minimum((index + 1) * size, len(split))
        images, targets = read(tf.range(index * size, end))
        taken, wanted = preprocess(_scaled(images), targets)
        noisy = noise(taken, -1 - index)
        return (noisy, wanted) if share == WHOLE else (noisy, wanted, there)

    found = _in_order(tf.data.Dataset.range(evaluation_rounds(split, share) * share.count), batch)
    return found if share == WHOLE else found.repeat()


def evaluation_rounds(split: Examples, share: Share) -> int:
    """In how many rounds as many batches are evaluated as there are parts."""
    return -(-_evaluations(split) // share.of)


def _evaluations(split: Examples) -> int:
    return -(-len(split) // _evaluation_size(split))


def _evaluation_size(split: Examples) -> int:
    height, width, _ = split.image_shape
    # Pictures of different sizes make no batch.
    return max(1, _EVALUATION_PIXELS // (height * width)) if height and width else 1


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
    """Bytes of pictures to [0, 1]; features are floats already."""
    return tf.cast(images, tf.float32) / 255 if images.dtype == tf.uint8 else images


def _in_order(steps: tf.data.Dataset, batch: Callable[[tf.Tensor], object]) -> tf.data.Dataset:
    # Rewriting Python's control flow for a graph takes time, and there is none here.
    traced = tf.autograph.experimental.do_not_convert(batch)
    return steps.map(traced, num_parallel_calls=2).prefetch(4).with_options(untuned())
