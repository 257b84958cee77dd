"""Print what each layer of a model is, costs and sees: `python -m src.describe model=fcn`.

Takes the arguments of `src.train`, and `input=HxWxC` for pictures of another size, `json=true` for
the same as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # python src/describe.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from src import cli, config, quiet
from src.errors import UserError

if TYPE_CHECKING:
    from src.models.layer_table import Row

_COUNTS = ("parameters", "trainable", "connections", "multiply_adds")
_HEADINGS = (
    *("layer", "type", "output", "kernel", "stride", "padding"),
    *("parameters", "connections", "multiply-adds", "sees", "jump"),
)


def main(values: dict[str, Any], arguments: list[str]) -> int:
    """Describes the model that `values` name; returns an exit status."""
    del arguments
    asked = config.parse(config.Describe, {name: values.pop(name) for name in ("input", "json")})
    settings = config.parse(config.Train, values)
    height, width, channels = (
        settings.data.image_shape if asked.input is None else _shape(asked.input)
    )
    if height is None or width is None or channels is None:
        raise UserError(
            f"expected input=HxWxC for data={settings.data.name}, whose pictures have a size of "
            "their own; received none"
        )
    shape = height, width, channels
    classes = settings.data.classes
    if classes is None and settings.model.task != "reconstruction":
        raise UserError(
            f"expected data.names=[...], as only reading data={settings.data.name} says the "
            "number of classes otherwise; received data.names=null"
        )
    quiet.tensorflow()
    import keras

    from src.models import layer_table
    from src.models.build import build

    try:
        # Sizes are counted: weights are declared, and no memory is taken for them.
        with keras.StatelessScope(initialize_variables=False):
            rows = layer_table.rows(build(settings.model, shape, classes or 1))
    except ValueError as error:
        raise UserError(f"model={settings.model.name} on input={_times(shape)}: {error}") from error
    totals = {name: sum(getattr(row, name) for row in rows) for name in _COUNTS}
    if asked.as_json:
        layers = [dataclasses.asdict(row) for row in rows]
        described = {"model": settings.model.name, "input": shape, "layers": layers}
        print(json.dumps(described | {"total": totals}, indent=2))
    else:
        print(f"{settings.model.name} on {_times(shape)}\n")
        print(_table(rows, totals))
    return 0


def _shape(size: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){2}", size):
        raise UserError(f"input: expected HxWxC, such as 32x32x1; received {size!r}")
    height, width, channels = map(int, size.split("x"))
    return height, width, channels


def _table(rows: Iterable[Row], totals: dict[str, int]) -> str:
    lines: list[Sequence[str]] = [_HEADINGS]
    for row in rows:
        counts = (row.parameters, row.connections, row.multiply_adds)
        lines.append(
            (
                *(row.name, row.type, _times(row.output_shape)),
                *(_times(row.kernel), _times(row.stride), row.padding or "-"),
                *(f"{count:,}" if count else "-" for count in counts),
                *(_times(row.receptive_field), _times(row.jump)),
            )
        )
    counts = (totals["parameters"], totals["connections"], totals["multiply_adds"])
    lines.append(("total", *[""] * 5, *(f"{count:,}" for count in counts), "", ""))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = "\n".join(
        "  ".join(
            # Names to the left, numbers to the right.
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    return (
        f"{text}\n\n{totals['trainable']:,} of the {totals['parameters']:,} parameters are trained"
    )


def _times(sizes: Iterable[float] | None) -> str:
    return "x".join(str(Fraction(size)) for size in sizes) if sizes else "-"


if __name__ == "__main__":
    cli.run("describe", main, config.Train, config.Describe)
