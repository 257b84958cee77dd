"""Quotes and commas of Hydra's grammar for `key=value`."""

from __future__ import annotations

import re


def parts(text: str) -> list[str]:
    """Splits at the commas that stand in no quotes, no brackets and behind no backslash."""
    parts, depth, quote, escaped = [""], 0, "", False
    for character in text:
        if not (escaped or quote or depth) and character == ",":
            parts.append("")
            continue
        parts[-1] += character
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and not parts[-1][:-1].strip():
            quote = character
        else:
            depth = max(0, depth + (character in "[{(") - (character in ")}]"))
    return parts


def quoted(value: str) -> str:
    """A text that Hydra reads back as it is."""
    # A backslash is one but in front of a quote, the last one included.
    escaped = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + end[2].replace("'", r"\'"), value)
    return f"'{escaped}'"
