"""Finds the sections that there are: one more file in the folder is one more choice."""

from __future__ import annotations

import functools
import importlib
import operator
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any, get_args

from src.config.section import Section


def union(package: ModuleType, kind: type[Section]) -> Any:
    """The union of the sections of a kind that the modules of a package define, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    sections = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, kind)
        and value.__module__ == module.__name__
    ]
    return functools.reduce(operator.or_, sections)


def names(sections: Any, fits: Callable[[Any], bool]) -> str:
    """The registered names, for a message, of those sections of a union that fit."""
    found = [section for section in get_args(sections) if fits(section)]
    literals = [section.model_fields["name"].annotation for section in found]
    return ", ".join(sorted(name for literal in literals for name in get_args(literal)))
