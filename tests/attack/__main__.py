"""Attacks the program at random and says what came of it.

    python -m tests.attack                      # everything; about an hour on two cores
    python -m tests.attack words pipes --trials 20 --seed 7

Kinds: `kills` (also inside of a checkpoint, a rewind, an evaluation), `files` (each file of a run
damaged, forged, linked, no file), `disks` (full at any byte), `pipes` (closed streams), `vanishing`
(a folder removed while it trains), `words` (random command lines). Ends with status 1 if anything
was lost, ran, hung, held more than 4 GiB or answered with a traceback.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.attack import damaging, killing, surroundings, wording
from tests.attack.trial import Report

# What is attacked, and how often unless it is said otherwise.
KINDS = {
    "words": (wording.attack, 300),
    "pipes": (surroundings.closed_streams, 35),
    "files": (damaging.attack, 150),
    "kills": (killing.attack, 50),
    "disks": (surroundings.full_disks, 15),
    "vanishing": (surroundings.vanishing_folders, 4),
}


def main() -> int:
    """Runs the campaign; returns an exit status."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="all if none is named")
    parser.add_argument("--trials", type=int, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    reports = []
    for name in chosen.kinds or KINDS:
        attack, trials = KINDS[name]
        report, begun = Report(name), time.monotonic()
        reports.append(report)
        with tempfile.TemporaryDirectory() as folder:
            attack(report, Path(folder), random.Random(chosen.seed), chosen.trials or trials)
        print(
            f"{name}: {report.tried} tried, {len(report.faults)} faults, "
            f"{time.monotonic() - begun:.0f} s",
            flush=True,
        )
    return 1 if any(report.faults for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
