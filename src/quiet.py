"""TensorFlow without its pages of log, the user's Keras settings and imports it does not need.

And standard streams that nobody reads, which must not end a training.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_lost: dict[int, str] = {}


def lost_output() -> str | None:
    """Why standard output lacks something, though somebody wanted to read it; None if nothing."""
    sys.stdout.flush()
    return _lost.get(1)


class _Forgiving(io.RawIOBase):
    """A standard stream that is thrown away from the moment on that it can take no more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self.descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self.descriptor)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Writes as much as there is room for."""
        try:
            return os.write(self.descriptor, data)
        except BlockingIOError:
            select.select([], [self.descriptor], [])
            return 0
        except OSError as error:
            # A closed pipe, a full disk, a terminal that is gone.
            if error.errno != errno.EPIPE:
                _lost.setdefault(self.descriptor, error.strerror or str(error))
            _discard(self.descriptor)
            return len(data)


def _discard(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def forgive_streams() -> None:
    """Lets standard output and error be closed, full or of another encoding than the text."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # What is opened next would get this number, and everything that is printed.
            _discard(descriptor)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        encoding = getattr(old, "encoding", None) or "utf-8"
        buffer = io.BufferedWriter(_Forgiving(descriptor))
        lines = name == "stderr" or os.isatty(descriptor)
        new = io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=lines)
        setattr(sys, name, new)


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
        except Exception:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Makes a module appear not to be installed, unless it has been imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _own_keras_settings() -> Iterator[None]:
    """Keeps Keras from reading, and from writing, the user's settings.

    They would decide of the data format, the float type and how many epochs are trained. While it
    is imported their folder is none; what it downloads still goes where the user keeps it.
    """
    names = [name for name in os.environ if name.startswith("KERAS_")]
    before = {name: os.environ.pop(name) for name in names}
    os.environ.update(KERAS_BACKEND="tensorflow", KERAS_HOME=os.path.join(os.devnull, "keras"))
    try:
        yield
        from keras.src.backend import config

        home = os.path.join(os.path.expanduser("~"), ".keras")
        config._KERAS_DIR = before.get("KERAS_HOME", home)
    finally:
        del os.environ["KERAS_HOME"]
        os.environ.update({**before, "KERAS_BACKEND": "tensorflow"})


def tensorflow(connect: Callable[[], Any] | None = None) -> Any:
    """Imports TensorFlow and Keras and has them look for their devices, quietly.

    Keras imports scikit-learn if it can, to offer wrappers for it: a sixth of the time to start.

    Args:
        connect: joins a cluster, which has to come before anything else that TensorFlow does.

    Returns:
        The module, or what `connect` returns.
    """
    with standard_error(), _absent("sklearn"), _own_keras_settings():
        import keras  # noqa: F401
        import tensorflow

        if connect is not None:
            return connect()
        tensorflow.config.list_logical_devices()
    return tensorflow
