"""How all tests are collected."""

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
