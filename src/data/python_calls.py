"""Python functions that TensorFlow's threads call, each of which has returned when Python ends."""

from __future__ import annotations

import atexit
import functools
import gc
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


class Calls:
    """The calls from TensorFlow's threads, all of which must have returned when Python ends.

    A thread that asks for the interpreter while it shuts down never gets it; TensorFlow, which
    takes down its pipelines then, would wait for that thread for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running, self._last = 0, -1.0

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._running -= 1
            self._last = time.monotonic()

    def settle(self, quiet: float = 0.3, most: float = 30.0) -> None:
        """Waits until there has been no call for `quiet` seconds: the pipelines' buffers are full.

        Args:
            quiet: seconds.
            most: seconds after which it gives up.
        """
        gc.collect()  # Pipelines that nobody can use any more end here.
        begun = time.monotonic()
        while self._running or time.monotonic() < self._last + quiet:
            if time.monotonic() > begun + most:
                return
            time.sleep(0.01)


calls = Calls()
atexit.register(calls.settle)


def counted(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """The function, to be called from a TensorFlow graph: Python waits for it before it ends."""

    @functools.wraps(function)
    def call(*given: Given.args, **named: Given.kwargs) -> Returned:
        with calls:
            return function(*given, **named)

    return call
