"""Draws the figure of `docs/architecture.md`.

python -m docs.draw_architecture
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FIGURE = Path(__file__).parent / "figures" / "architecture.png"
# From the top: what imports only from what stands below it. Name, what it holds, colour.
ROWS = (
    (("train  eval  predict  describe  compare", "the commands", "#cfe2f3"),),
    (("experiment", "a run put together, trained, evaluated", "#d9ead3"),),
    (
        ("training", "tasks, callbacks, checkpoints", "#d9ead3"),
        ("models", "the networks, a page each", "#fce5cd"),
    ),
    (
        ("data", "sources and batches", "#ead1dc"),
        ("layers", "for networks of one's own", "#fce5cd"),
    ),
    (
        ("figures", "arrays to pictures", "#ead1dc"),
        ("kernels", "faster forms of the same", "#fff2cc"),
        ("arithmetic", "sizes, costs", "#fff2cc"),
    ),
    (("config", "the schema, and the facts about models and data", "#eeeeee"),),
)


def main() -> None:
    """Draws the rows as boxes."""
    figure, axes = plt.subplots(figsize=(7, 4.6), dpi=110)
    for level, row in enumerate(reversed(ROWS)):
        width = 12 / len(row)
        for place, (name, holds, colour) in enumerate(row):
            corner = (place * width + 0.1, level + 0.08)
            box = plt.Rectangle(corner, width - 0.2, 0.84, facecolor=colour, edgecolor="#555555")
            axes.add_patch(box)
            centre = (place + 0.5) * width
            axes.text(centre, level + 0.62, name, ha="center", va="center", weight="bold")
            axes.text(centre, level + 0.3, holds, ha="center", va="center", fontsize=8)
    axes.set_xlim(0, 12)
    axes.set_ylim(0, len(ROWS))
    axes.axis("off")
    figure.tight_layout(pad=0.2)
    figure.savefig(FIGURE)


if __name__ == "__main__":
    main()
