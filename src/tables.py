"""Tables of text for the terminal: the columns of any rows, and those of compared runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from src import comparison
from src.comparison import Group


def aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    """Rows of cells as lines of equal columns.

    Args:
        lines: the heading and the rows, of one length.
        left: how many columns, from the first on, are flush left; numbers are flush right.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def compared(table: Sequence[Group]) -> str:
    """Groups of runs of one task: the settings that differ, how many runs, and their metrics."""
    names = comparison.shortened(table[0].settings)
    metrics = [(split, name) for name in comparison.metrics(table) for split in comparison.SPLITS]
    scored = [[group.score(split, name) for split, name in metrics] for group in table]
    used = [i for i in range(len(metrics)) if any(scores[i] for scores in scored)]
    lines = [
        [*names.values(), "runs", *(" ".join(metrics[i]) for i in used)],
        *(
            [
                *map(comparison.shown, group.settings.values()),
                str(len(group.runs)),
                *(_number(scores[i]) for i in used),
            ]
            for group, scores in zip(table, scored, strict=True)
        ),
    ]
    return aligned(lines, len(names))


def _number(score: tuple[float, float | None] | None) -> str:
    """Mean and deviation, with as many decimals as the deviation has two digits for."""
    if score is None:
        return "-"
    mean, deviation = score
    if deviation is None or not 0 < deviation < 1e6:
        return f"{mean:.4g}" if deviation is None else f"{mean:.4g} ± {deviation:.2g}"
    decimals = min(7, max(0, 1 - math.floor(math.log10(deviation))))
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"
