"""The section `search`: which settings are searched, and how."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from src.config.section import Section, Text

Value = bool | int | float | str | None
_SCALES = ("log", "linear")


def _space(value: Any) -> Any:
    if value is None:
        return {}
    lists = isinstance(value, dict) and all(isinstance(v, list) and v for v in value.values())
    if not lists:
        raise ValueError(
            "expected search.space as {key: [low, high, log], key: [choice, choice]}; "
            f"received search.space={value}"
        )
    return value


def _ranges_grow(space: dict[str, list[Value]]) -> dict[str, list[Value]]:
    for key, values in space.items():
        if not is_range(values):
            continue
        low, high, scale = values
        if not _grows(low, high, above=0 if scale == "log" else -math.inf):
            raise ValueError(
                f"expected search.space.{key} as [low, high, {scale}], low below high"
                f"{' and above 0' if scale == 'log' else ''}; received {values}"
            )
    return space


def _grows(low: Value, high: Value, above: float) -> bool:
    if isinstance(low, bool | str | None) or isinstance(high, bool | str | None):
        return False
    return above < low < high < math.inf


def is_range(values: list[Value]) -> bool:
    """Whether they are the ends of a range and its scale, and not choices."""
    return len(values) == 3 and values[2] in _SCALES


Space = Annotated[
    dict[str, list[Value]],
    BeforeValidator(_space),
    AfterValidator(_ranges_grow),
    Field(max_length=50),
]


class SearchOptions(Section):
    """Which settings are searched, and how.

    Attributes:
        space: of each key what it may be, such as `{optimizer.learning_rate: [1e-4, 1e-2, log],
            model.latent: [8, 16, 32]}`: the ends of a range and its scale, `log` or `linear`, or
            a list of choices.
        trials: how many runs the study has in all.
        pruner: what ends a run early by the watched metric of its epochs: `median`, if it is worse
            than half of the others were then; `hyperband` (Li et al. 2018); null for none.
        seed: of the sampler.
        storage: an address such as `postgresql://...` or `sqlite:///...` where the study is kept;
            if null, in a file of its folder.
    """

    space: Space = Field(default_factory=dict)
    trials: Annotated[int, Field(ge=1, le=10_000)] = 20
    pruner: Literal["median", "hyperband"] | None = "median"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    storage: Text | None = None


class Search(Section):
    """A study that begins or goes on.

    Attributes:
        resume: the folder of a study to go on with, or to work on with others; null to begin one.
    """

    search: SearchOptions
    resume: Text | None = None
