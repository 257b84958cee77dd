"""How the program is asked to end: the first signal ends it in order, a second one at once.

Python runs its handlers between two instructions of the main thread, which may be inside of
TensorFlow for seconds. The number of a signal is written to a pipe at once, and a thread reads it.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPPED = 75  # EX_TEMPFAIL of sysexits.h: try again later.
ENDED_AT_ONCE = 130
STOPS = (STOPPED, ENDED_AT_ONCE)
# Names the descriptor of a pipe by which the parent says how often it was asked to end, a byte each
# time; the pipe ends when the parent does.
PARENT = "DECONV_PARENT"
# Seconds between two SIGTERM that are one: a cluster sends what ends a job to all its processes,
# and twice, and parents hand it on.
_ALIKE = 0.2
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# Something that swallows exceptions must not keep the program from ending.
_PATIENCE = 10.0


class Asked(BaseException):
    """The program was asked to end where there is nothing to wait for."""


class _Watch:
    """What was asked for so far, and who answers."""

    def __init__(self) -> None:
        self.count = 0
        self.answers: list[Callable[[int, int], None]] = []

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Ends what the main thread does, unless somebody answers."""
        if not self.answers:
            raise Asked

    def follow(self, reading: int) -> None:
        """Answers each signal that comes through the pipe, in a thread of its own."""
        last = -math.inf
        while data := os.read(reading, 1):
            before, last = last, time.monotonic()
            if last - before < _ALIKE and data[0] == signal.SIGTERM:
                continue
            self.count += 1
            if self.answers:
                self.answers[-1](self.count, data[0])
            elif self.count == 1:
                timer = threading.Timer(_PATIENCE, _end)
                timer.daemon = True
                timer.start()
            else:
                _end()


_watch: _Watch | None = None


def _end() -> None:
    os._exit(ENDED_AT_ONCE)


@contextmanager
def handled() -> Iterator[None]:
    """Within the block SIGINT, SIGTERM and SIGHUP raise `Asked`; a second one ends the process.

    SIGHUP, which a closed terminal sends, is left alone where it is ignored, as `nohup` has it.
    """
    global _watch
    _watch = watch = _Watch()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    heard = [n for n in numbers if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, watch.handle) for number in heard}
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=watch.follow, args=(reading,), daemon=True).start()
    _follow_parent(watch)
    unraisable, sys.unraisablehook = sys.unraisablehook, _without(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        _watch = None


def renew() -> None:
    """Takes the signals back from a library that has put its own handlers in the place of Python's.

    TensorFlow does so for SIGTERM as it joins a cluster.
    """
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and (handler := signal.getsignal(number)) is not None:
            signal.signal(number, handler)


def _follow_parent(watch: _Watch) -> None:
    """Has this process asked to end when the one that started it is, or is gone, even if killed."""
    descriptor = os.environ.pop(PARENT, "")
    if not descriptor.isdecimal():
        return

    def follow() -> None:
        while True:
            data = b""
            with suppress(OSError):
                data = os.read(int(descriptor), 1)
            if data and data[0] > 1:
                _end()
            # It may have been sent a signal of its own, which counts first.
            time.sleep(_ALIKE)
            if not watch.count:
                os.kill(os.getpid(), signal.SIGTERM)
            if not data:
                return

    threading.Thread(target=follow, daemon=True).start()


def _without(hook: Callable[..., object]) -> Callable[..., object]:
    def unraisable(what: sys.UnraisableHookArgs) -> None:
        # Raised where Python swallows it: `_PATIENCE` ends the program.
        if not isinstance(what.exc_value, Asked):
            hook(what)

    return unraisable


@contextmanager
def answered(answer: Callable[[int, int], None]) -> Iterator[None]:
    """Within the block of `handled` somebody else answers the signals.

    Args:
        answer: called at once, in another thread, with how many there were and the number of the
            last.

    Raises:
        Asked: a signal came before.
    """
    if _watch is None:
        yield
        return
    _watch.answers.append(answer)
    try:
        # It came before, and was swallowed on its way.
        if _watch.count:
            raise Asked
        yield
    finally:
        _watch.answers.remove(answer)


@contextmanager
def deferred(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first signal only calls `stop`, and a second one ends the process.

    Args:
        stop: called at once, in another thread.
    """

    def answer(count: int, number: int) -> None:
        if count > 1:
            _end()
        # In a thread of its own: a terminal that takes no more text must not hold a second one up.
        threading.Thread(target=stop, daemon=True).start()

    with answered(answer):
        yield
