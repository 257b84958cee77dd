"""What all sections of the schema share: strictness, and the types of their values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# YAML reads a folder named 2024 as a number; it is a name all the same.
Text = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) in (int, float) else v)]
Side = Annotated[int, Field(ge=1, le=8192)]
# Millions of pixels in a picture, up to what its decoder can count.
Megapixels = Annotated[int, Field(ge=1, le=2000)]
Byte = Annotated[int, Field(ge=0, le=255)]
# Height, width and channels of images; None for what is known only once they are read.
Shape = tuple[int | None, int | None, int | None]


def _absolute(path: str) -> str:
    # A run may be gone on with from another folder than it was begun in.
    return path if path in ("imagenet", "latest", "random") else os.path.abspath(path)


Location = Annotated[Text, AfterValidator(_absolute)]


class Section(BaseModel):
    """A frozen section; unknown keys, other types and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by their whole keys, such as `optimizer.name`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        deep = isinstance(value, Mapping)
        found |= flat(value, f"{before}{key}.") if deep else {before + key: value}
    return found
