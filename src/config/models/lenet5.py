"""The section of `model=lenet5`."""

from __future__ import annotations

from typing import ClassVar, Literal

from src.config.model import Model, TaskName


class LeNet5(Model):
    """LeNet-5 (LeCun et al. 1998, section II-B).

    Attributes:
        c3: `dense` joins every map of S2 to every map of C3 and averages in S2 and S4, the modern
            form; `sparse` is the paper's: Table I's connections and trainable subsampling.
        output: ten logits, or the paper's Euclidean units over fixed bitmaps; if null, what goes
            with `c3`: `softmax` with `dense`, `rbf` with `sparse`.
    """

    task: ClassVar[TaskName] = "classification"
    small_maps: ClassVar[bool] = True

    name: Literal["lenet5"]
    c3: Literal["dense", "sparse"] = "dense"
    output: Literal["softmax", "rbf"] | None = None

    @property
    def rbf(self) -> bool:
        """Whether the output is the paper's."""
        return (self.output or ("rbf" if self.c3 == "sparse" else "softmax")) == "rbf"

    def check_classes(self, classes: int) -> None:
        """Refuses other classes than digits where the outputs are bitmaps of digits."""
        if self.rbf and classes != 10:
            raise ValueError(
                "expected 10 classes for model=lenet5 with the paper's bitmaps of digits, or "
                f"model.output=softmax; received {classes} classes"
            )
