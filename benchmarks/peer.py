"""What the peers share; the standard library alone, as their interpreters may have nothing else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Measured = dict[str, object]

# FCN: how many convolutions each stage has, by the name of what is trained.
CONVOLUTIONS = {"fcn": (1, 1, 3, 2, 1), "street": (1, 1, 2, 3, 3)}
# Stages whose scores are added to those of the last: down to stride 8, and to stride 4.
FUSED = {"fcn": (3, 2), "street": (3, 2, 1)}
# Feature maps of each stage, and maps of scores.
MAPS = (16, 48, 96, 128, 128)
SCORES = 48


def product(factors: Callable[[int], tuple[Any, Any]], multiply: Callable[..., object]) -> Measured:
    """The operations a second of a large matrix product, the best size and moment of it.

    Args:
        factors: makes two square matrices of a size.
        multiply: multiplies them.
    """
    best = 0.0
    for side in (1024, 2048, 4096):
        a, b = factors(side)
        until = time.perf_counter() + 1
        while time.perf_counter() < until:
            begun = time.perf_counter()
            multiply(a, b)
            best = max(best, 2 * side**3 / (time.perf_counter() - begun))
    return {"operations_per_second": best}


def main(
    train: Callable[..., Measured],
    example: Callable[[str, int], Measured],
    product: Callable[[str], Measured],
) -> None:
    """Runs what the command line names and prints what it measured, a line of JSON."""
    command, *arguments = sys.argv[1:]
    if command == "train":
        measured = train(*arguments[:-1], int(arguments[-1]))
    elif command == "example":
        measured = example(arguments[0], int(arguments[1]))
    else:
        measured = product(arguments[0])
    print(json.dumps(measured))
