"""Compare runs: `python -m src.compare outputs/a outputs/b`, or the folder of a multirun.

Prints the settings that differ and the metrics of the best checkpoints, and draws the curves.

  python -m src.compare outputs/multirun
  python -m src.compare outputs/a outputs/b output=a-and-b.png

  folders  of runs, or folders with runs in them, or latest
  output   the picture, a PNG file; if not given, comparison.png in the folder, or in outputs/ where
           there are several

Runs that differ by their seed only are one line: mean ± standard deviation over the runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # python src/compare.py
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from src import cli, comparison, figures, files, runs, tables
from src.errors import UserError


def main(arguments: list[str]) -> int:
    """Compares the runs in the folders that `arguments` name; returns an exit status.

    Raises:
        UserError: there are no runs, one of them is damaged, or the picture cannot be written.
    """
    if {"--help", "-h"} & set(arguments):
        print(__doc__.partition("\n\n")[0] + "\n\n" + __doc__.partition("\n\n")[2].strip())
        return 0
    where = [argument for argument in arguments if not argument.startswith("output=")]
    outputs = [
        argument.removeprefix("output=") for argument in arguments if argument.startswith("output=")
    ]
    for argument in where:
        if argument.startswith("-") and not os.path.exists(argument):
            raise UserError(
                f"expected folders of runs and output=; received {files.clipped(argument)}"
            )
    if not where or len(outputs) > 1:
        raise UserError(
            "expected folders of runs, such as python -m src.compare outputs/a outputs/b, and one "
            f"output= at most; received {len(where)} folders and {len(outputs)} of output="
        )
    compared = [comparison.read(folder) for folder in comparison.find(where)]
    target = _target(outputs, where, [run.folder for run in compared])
    tasks = dict.fromkeys(run.task for run in compared)
    groups = [comparison.groups([run for run in compared if run.task == task]) for task in tasks]
    # What is drawn is kept, whether or not anybody reads to the end.
    with runs.writing(target.parent):
        figures.save_png(target, comparison.picture(groups))
    for table in groups:
        if len(groups) > 1:
            print(table[0].runs[0].task)
        print(tables.compared(table) + "\n")
    for run in compared:
        if run.status != "finished":
            print(f"{run.folder} is {run.status or 'not begun'}; its val is that of its best epoch")
    print(f"curves: {target}", flush=True)
    return 0


def _target(outputs: Sequence[str], where: Sequence[str], found: Sequence[Path]) -> Path:
    """Where the picture goes."""
    if outputs:
        target = Path(outputs[0])
        if target.suffix.lower() != ".png" or os.path.isdir(target):
            raise UserError(
                f"expected output= as a PNG file; received output={files.clipped(target)}"
            )
        return target
    # A run's folder holds what belongs to that run.
    own = len(where) == 1 and Path(where[0]).resolve() != found[0].resolve()
    folder = Path(where[0]) if own and where[0] != "latest" else runs.OUTPUTS
    return folder / "comparison.png"


if __name__ == "__main__":
    cli.run_plain(main)
