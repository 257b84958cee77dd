"""How all tests are collected."""

import numpy as np
import pytest


def pytest_make_parametrize_id(val, argname):
    """Refuses to name a case after what a reader cannot read or another process may not repeat.

    Two processes collect the tests and have to come to the same names. Bytes hold time stamps as
    soon as something compresses them, and the last digits of a computed number are the machine's.
    """
    computed = isinstance(val, float) and len(repr(val)) > 8
    if isinstance(val, bytes) or computed or (isinstance(val, str) and not val.isprintable()):
        raise pytest.UsageError(
            f"expected ids= for parameters that make no name; received {argname}={val!r:.60}"
        )


@pytest.fixture(autouse=True)
def _same_random_numbers(request, monkeypatch):
    """Gives each test the numbers that it has when it runs alone, whatever ran before it."""
    if hasattr(request.module, "RNG"):
        monkeypatch.setattr(request.module, "RNG", np.random.default_rng(0))
