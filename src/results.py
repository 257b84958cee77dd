"""What a run has come to, `results.json`: its schema; it is read and written here only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from src import files
from src.config.section import Byte
from src.errors import UserError
from src.runs import RESULTS, exclusive

Status = Literal["running", "interrupted", "pruned", "finished"]
# A score that is not defined, such as the IoU of a class that occurs nowhere, is null.
Scores = dict[str, float | None]
# A name or path from the file system need not be Unicode; a stranger's may hold control characters.
Shown = Annotated[
    str, BeforeValidator(lambda text: files.clipped(text, 1000) if isinstance(text, str) else text)
]


class _Part(BaseModel):
    """A part of the results; what another version has written besides is kept as it is."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class DataFacts(_Part):
    """What a run was trained on.

    Attributes:
        name: registered name.
        source: where it came from.
        digest: SHA-256 of all splits.
        kind: what belongs to an image.
        image_shape: height, width and channels; None for a side that differs.
        classes: names of the classes.
        colours: red, green and blue of each in pictures; None for the usual ones.
        void: label of the pixels that do not count; None if there is none.
        digests: SHA-256 of each split.
    """

    name: Shown
    source: Shown
    digest: str
    kind: Literal["labels", "masks"]
    image_shape: Annotated[
        list[Annotated[int, Field(ge=1, le=100_000)] | None], Field(min_length=3, max_length=3)
    ]
    classes: list[Shown]
    colours: list[Annotated[list[Byte], Field(min_length=3, max_length=3)]] | None = None
    void: Byte | None = None
    digests: dict[str, str]


class Evaluation(_Part):
    """One evaluation; its scores stand beside these by their names.

    Attributes:
        step: steps that the evaluated weights were trained.
        data: where the examples came from.
    """

    step: Annotated[int, Field(ge=0)]
    data: Shown


class Results(_Part):
    """Everything that a run has come to.

    Attributes:
        model: registered name.
        status: `running`, `interrupted`, `pruned` by a search, or `finished`.
        data: what it was trained on.
        class_weights: of each class in the loss; None for equal ones.
        class_weights_power: what they have been raised to.
        seed: of the run.
        parameters: of the model.
        steps: trained.
        seconds: that training took, over all its parts.
        images_per_second: the median over the epochs; None before the first has ended.
        precision: float32 or bfloat16.
        shards: parts of a batch that are computed side by side.
        versions: of Python and the libraries.
        metrics: of the best checkpoint, by split.
        evaluations: by checkpoint and split, and the data where they were not the run's own.
        baselines: what simple methods reach, by split.
    """

    model: Shown | None = None
    status: Status | None = None
    data: DataFacts | None = None
    class_weights: list[Annotated[float, Field(ge=0)]] | None = None
    class_weights_power: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: int | None = None
    parameters: int | None = None
    steps: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    images_per_second: float | None = None
    precision: str | None = None
    shards: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, Scores] = Field(default_factory=dict)
    evaluations: dict[str, Evaluation] = Field(default_factory=dict)
    baselines: dict[str, Scores] = Field(default_factory=dict)

    def forget(self, step: int) -> None:
        """Forgets the evaluations of what was trained after a step, which is trained again."""
        later = [label for label, entry in self.evaluations.items() if entry.step > step]
        for label in later:
            del self.evaluations[label]

    def of_best(self, step: int | None) -> dict[str, Scores]:
        """The metrics by split that are of the best checkpoint, when that is the one of a step."""
        evaluated = {label: entry.step for label, entry in self.evaluations.items()}
        return {
            split: scores
            for split, scores in self.metrics.items()
            if step is not None and evaluated.get(f"best-{split}") == step
        }


def read(folder: Path) -> Results:
    """A run's results so far; empty ones where none have been written.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    path = folder / RESULTS
    try:
        return Results.model_validate_json(files.read(path))
    except FileNotFoundError:
        return Results()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(map(str, first["loc"]))
        reason = f"{key + ': ' if key else ''}{first['msg']}"
        raise UserError(f"{path}: expected a run's results; {files.clipped(reason)}") from error
    except OSError as error:
        raise UserError(f"{path}: expected a run's results; received {error.strerror}") from error


def complete(folder: Path) -> bool:
    """Whether a run has been trained and evaluated to its end."""
    try:
        found = read(folder)
    except UserError:
        return False
    return found.status == "finished" and {"val", "test"} <= found.metrics.keys()


def read_data_facts(folder: Path) -> DataFacts:
    """What a run was trained on.

    Raises:
        UserError: as for `read`, or the run has not written it down.
    """
    facts = read(folder).data
    if facts is None:
        raise UserError(
            f"{folder / RESULTS}: expected what the run was trained on, which src.train writes; "
            "received none"
        )
    return facts


@contextmanager
def changing(folder: Path) -> Iterator[Results]:
    """Within the block a run's results may be changed; they are written at its end.

    They are read here and not earlier, and nobody else changes them meanwhile: an evaluation and a
    training run that write into one folder undo nothing of each other.

    Raises:
        UserError: as for `read`.
        OSError: they cannot be written.
    """
    with exclusive(folder / ".results.lock"):
        results = read(folder)
        yield results
        files.write(folder / RESULTS, results.model_dump_json(indent=2) + "\n")
