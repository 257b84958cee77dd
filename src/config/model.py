"""What every model's section says: which network it is, and what the program must know of it.

A section in `src/config/models/` belongs to the builder of the same module name in `src/models/`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from src.config.section import Location, Section

TaskName = Literal["classification", "reconstruction", "segmentation"]
Mode = Literal["max", "min"]

# The metric on the validation set that decides which checkpoint is the best, and whether more or
# less of it is better.
WATCHED: dict[TaskName, tuple[str, Mode]] = {
    "classification": ("accuracy", "max"),
    "reconstruction": ("mse", "min"),
    "segmentation": ("mean_iou", "max"),
}


class FineTuning(NamedTuple):
    """How a run goes on once a new layer has been trained on features.

    Attributes:
        after: epochs on features.
        learning_rate: of what is then trained, at its first step.
    """

    after: int
    learning_rate: float


class Model(Section):
    """A network and its options.

    The class variables are facts about the network; what a user may choose are the attributes.

    Attributes:
        task: what the network is trained to do.
        any_size: whether it takes pictures of any height and width, also of several.
        multiple: what height and width of its pictures must be multiples of.
        separable: whether parts of a batch may be computed apart: no layer looks at a whole batch.
        small_maps: whether a processor's threads do better with a part of the batch each than with
            a part of each operation.
        code: name of the layer whose output is all that a picture is drawn from; None where there
            is no such layer.
        features: name of the layer up to which no weight is trained, or not at first, so that its
            output of every picture is computed once; None where there is no such layer.
        named_weights: what `weights`, where there is such an option, may be instead of a file.
        name: registered name.
        init_from: folder of an earlier run, the layers of whose best checkpoint this run begins
            with, where name and shape are the same; null for none.
    """

    task: ClassVar[TaskName]
    any_size: ClassVar[bool] = False
    multiple: ClassVar[int] = 1
    separable: ClassVar[bool] = True
    small_maps: ClassVar[bool] = False
    code: ClassVar[str | None] = None
    features: ClassVar[str | None] = None
    named_weights: ClassVar[tuple[str, ...]] = ("imagenet", "null")

    name: str
    init_from: Location | None = None

    @property
    def family(self) -> dict[str, str]:
        """What two runs must share, by key, for one to begin with layers of the other."""
        return {"model": self.name}

    @property
    def fine_tuning(self) -> FineTuning | None:
        """When weights below `features` are trained, too, on pictures; None for never."""
        return None

    def check_classes(self, classes: int) -> None:
        """Refuses a number of classes that the network cannot tell apart.

        Raises:
            ValueError: there are as many as it has no outputs for.
        """
        del classes

    def check_size(self, height: int, width: int) -> None:
        """Refuses pictures that the network cannot take.

        Raises:
            ValueError: height or width does not fit.
        """
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"expected height and width that {self.multiple} divides for model={self.name}; "
                f"received {height}x{width}"
            )
