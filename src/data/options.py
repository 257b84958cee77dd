"""How every `tf.data` pipeline of the project runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def untuned() -> tf.data.Options:
    """Options without the autotuner, for whose waking a pipeline can wait seconds at its end."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return options
