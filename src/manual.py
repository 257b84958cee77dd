"""The page that `--help` prints, from the docstrings of the schema."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

from src import config
from src.config.keys import Key
from src.errors import UserError
from src.overrides import groups

_COLUMN = 34
_FLAGS = """\
  -m, --multirun  run every combination of key=a,b, each in a folder of its own
  --help SECTION  what each key of a section means, in full
  --cfg job       print the configuration rather than run it
  --version       print the version"""


def page(
    config_name: str,
    about: str,
    values: dict[str, Any],
    keys: Mapping[str, Key],
    topics: list[str],
) -> str:
    """What a command takes, with the values that hold where nothing else is said.

    Args:
        config_name: the command.
        about: what it does.
        values: the composed configuration.
        keys: what may be set, and what it means.
        topics: sections or keys to explain in full; all in short if there are none.

    Raises:
        UserError: there is no such section or key.
    """
    current = config.flat(values)
    width = min(100, shutil.get_terminal_size((80, 24)).columns)
    if topics:
        return "\n".join(_topic(topic, current, keys, width) for topic in topics)
    choices = groups(config_name)
    usage = (
        f"  python -m src.{config_name} {'[group=choice ...] ' if choices else ''}[key=value ...]"
    )
    lines = [about, "", usage, "", *_FLAGS.splitlines(), ""]
    if choices:
        lines += ["groups, of which each sets several keys:"]
        for name, found in choices.items():
            text = f"  {name:14}{', '.join(found)}"
            lines += textwrap.wrap(text, width, subsequent_indent=" " * 16)
        lines += [""]
    lines += ["keys, and their values where nothing else is said:"]
    for name, value in current.items():
        if name in keys:
            lines += _entry(f"{name}={_shown(value)}", _meaning(name, keys, current), width)
    return "\n".join(lines)


def _entry(key: str, meaning: str, width: int) -> list[str]:
    """A key and the beginning of what it means, in two columns."""
    first = re.split(r"[;:.](?= |$)", meaning)[0]
    head = f"  {key:{_COLUMN - 4}}  "
    if len(head) > _COLUMN:
        return [head.rstrip(), *_entry("", meaning, width)]
    return textwrap.wrap(head + first, width, subsequent_indent=" " * _COLUMN, drop_whitespace=True)


def _topic(topic: str, current: dict[str, Any], keys: Mapping[str, Key], width: int) -> str:
    found = [name for name in keys if name == topic or name.startswith(f"{topic}.")]
    if not found:
        sections = sorted({name.partition(".")[0] for name in keys})
        raise UserError(f"expected one of {', '.join(sections)} after --help; received {topic}")
    lines = []
    for name in found:
        shown = f"={_shown(current[name])}" if name in current else ""
        lines.append(f"{name}{shown}")
        meanings = keys[name].meanings
        for meaning, choices in meanings.items():
            of = f"({', '.join(choices)}) " if len(meanings) > 1 else ""
            indent = "    "
            lines += textwrap.wrap(
                of + meaning, width, initial_indent=indent, subsequent_indent=indent
            )
    return "\n".join(lines)


def _meaning(name: str, keys: Mapping[str, Key], current: dict[str, Any]) -> str:
    meanings = keys[name].meanings
    chosen = current.get(f"{name.partition('.')[0]}.name")
    own = [text for text, choices in meanings.items() if chosen in choices]
    return (own or list(meanings))[0]


def _shown(value: Any) -> str:
    text = {None: "null", True: "true", False: "false"}.get(value) if _plain(value) else None
    return str(value) if text is None else text


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)
