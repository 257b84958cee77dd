"""The keys of a schema: what each means, in the words of its docstring, and whether it is text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from src.config.section import Section

Kind = Literal["text", "texts", "other"]


@dataclass
class Key:
    """A key that a user may set.

    Attributes:
        kind: whether its value is a text, a list of texts, or something else.
        meanings: what it means, and the names of the choices for which it means that.
    """

    kind: Kind
    meanings: dict[str, list[str]] = field(default_factory=dict)


def keys(*sections: type[Section]) -> dict[str, Key]:
    """Every key of these sections and of those within, such as `trainer.epochs`, in their order."""
    found: dict[str, Key] = {}
    for section in sections:
        _collect(section, "", found)
    return found


def _collect(section: type[Section], prefix: str, found: dict[str, Key]) -> None:
    meanings = _meanings(section)
    named = section.model_fields.get("name")
    choices = get_args(named.annotation) if named else ()
    for name, value in section.model_fields.items():
        inner = [kind for kind in _leaves(value.annotation) if _is_section(kind)]
        for part in inner:
            _collect(part, f"{prefix}{name}.", found)
        if not inner:
            key = found.setdefault(f"{prefix}{value.alias or name}", Key(_kind(value.annotation)))
            key.meanings.setdefault(meanings.get(name, ""), []).extend(choices)


def _leaves(annotation: Any) -> Iterator[Any]:
    """The parts of a union, without what only qualifies them."""
    if get_origin(annotation) is Literal:
        yield from (type(value) for value in get_args(annotation))
    elif hasattr(annotation, "__metadata__"):
        yield from _leaves(annotation.__origin__)
    elif get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        for part in get_args(annotation):
            yield from _leaves(part)
    elif annotation is not type(None):
        yield annotation


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _kind(annotation: Any) -> Kind:
    leaves = list(_leaves(annotation))
    if all(leaf is str for leaf in leaves):
        return "text"
    lists = [leaf for leaf in leaves if get_origin(leaf) is list]
    if lists == leaves and all(_kind(*get_args(leaf)) == "text" for leaf in lists):
        return "texts"
    return "other"


def _meanings(section: type[Section]) -> dict[str, str]:
    """What the docstrings of a section and of those that it extends say of each attribute."""
    found: dict[str, str] = {}
    for cls in section.__mro__:
        text = inspect.cleandoc(cls.__doc__ or "")
        _, _, listed = text.partition("Attributes:\n")
        for name, meaning in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.MULTILINE):
            found.setdefault(name, " ".join(meaning.split()))
    return found
