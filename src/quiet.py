"""TensorFlow without the pages it prints as it starts."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def standard_error() -> Iterator[None]:
    """Holds back what native code writes to standard error; shows it only if the block raises.

    TensorFlow's libraries announce a missing GPU before their own log level is read, so that no
    setting silences them.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)


def tensorflow() -> ModuleType:
    """Imports TensorFlow and has it look for its devices, quietly."""
    with standard_error():
        import tensorflow

        tensorflow.config.list_logical_devices()
    return tensorflow
