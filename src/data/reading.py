"""Files that a user or a stranger gives as data: regular ones, read whole or not at all.

A link is followed: data often lie elsewhere. A pipe, a socket or a device, which may never end, is
not opened.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from src.data.dataset import DataError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def shown(name: object) -> str:
    """A file's name for a message; what is not text, or would break the line, is escaped."""
    text = os.fsencode(str(name)).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def open_regular(path: Path) -> int:
    """Opens a regular file to read it; returns its descriptor.

    Raises:
        DataError: there is none, it cannot be read, or it is another kind of thing.
    """
    try:
        # Without O_NONBLOCK the opening of a pipe waits for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{shown(path)}: expected to read it; received {reason}") from error
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = _KINDS.get(stat.S_IFMT(mode), "another kind of file")
        raise DataError(f"{shown(path)}: expected a regular file; received {kind}")
    return descriptor


def regular_file(path: Path, most: int) -> bytes:
    """The contents of a regular file.

    Args:
        path: the file.
        most: how many bytes it may hold.

    Raises:
        DataError: it cannot be read, is another kind of thing, or is larger.
    """
    with open(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise DataError(f"{shown(path)}: expected at most {most:,} bytes; received {size:,}")
        try:
            return file.read(most + 1)[:most]
        except OSError as error:
            raise DataError(
                f"{shown(path)}: expected to read it; received {error.strerror}"
            ) from error
