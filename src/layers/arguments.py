"""Arguments of layers, as Keras' layers take them."""

from __future__ import annotations


def pair(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    """Reads one number for both axes, or one for each.

    Raises:
        ValueError: they are not positive integers.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise ValueError(f"expected {name} of one or two integers >= 1; received {name}={value}")
    return pair[0], pair[1]


def expect_padding(padding: str) -> str:
    """Returns the padding if there is such a one.

    Raises:
        ValueError: there is none.
    """
    if padding not in ("valid", "same"):
        raise ValueError(f"expected padding 'valid' or 'same'; received {padding=}")
    return padding
