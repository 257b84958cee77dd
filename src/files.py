"""Files that a stranger may have made: regular ones only, through no link, and not without end.

A run's folder may come from somebody else. What is opened in it by its name is a regular file, or
nothing is opened: a link would lead a write elsewhere, a pipe would never answer.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path

TEXT = 16 << 20  # No text of a run's own is larger.
_PRIVATE = ".writing"


def open_to_read(path: Path) -> BufferedReader:
    """Opens a regular file.

    Raises:
        OSError: there is none, or it is a link, a folder, a pipe or a device.
    """
    return open(_opened(path, os.O_RDONLY), "rb")


def open_to_append(path: Path) -> BufferedWriter:
    """Opens a regular file to write at its end, and makes it if it is not there.

    Raises:
        OSError: it cannot be written to, or it is a link, a folder, a pipe or a device.
    """
    return open(_opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")


def unshare(path: Path) -> None:
    """Gives a file that has a second name, by a hard link, contents of its own under this one.

    What is then added to it does not appear under the other, which may be anywhere.

    Raises:
        OSError: it cannot be copied, or is no regular file.
    """
    if os.path.lexists(path) and path.lstat().st_nlink > 1:
        aside = path.with_name(f".{path.name}{_PRIVATE}")
        aside.unlink(missing_ok=True)
        with open_to_read(path) as old, aside.open("xb") as new:
            shutil.copyfileobj(old, new)
        aside.replace(path)


def _opened(path: Path, flags: int) -> int:
    try:
        # A pipe that nobody writes to would be waited for.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _irregular(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return descriptor


def _irregular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "no regular file", str(path))


def read(path: Path, most: int = TEXT) -> bytes:
    """Reads a whole regular file.

    Raises:
        OSError: it cannot be read, or holds more than `most` bytes.
    """
    with open_to_read(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return data


def write(path: Path, text: str) -> None:
    """Writes a small file in one piece: a reader sees the old text or the new, never a part.

    Raises:
        OSError: it cannot be written; the old text is as it was.
    """
    aside = path.with_name(f".{path.name}{_PRIVATE}")
    aside.unlink(missing_ok=True)
    try:
        with aside.open("x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Makes sure that a file's contents, or a folder's names, are on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def irregular(folder: Path) -> Path | None:
    """The first thing below a folder that is neither a regular file nor a folder, or None."""
    for parent, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return path
    return None


def clipped(text: object, most: int = 200) -> str:
    """A text for a message: on one line, of limited length, and without control characters."""
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(str(text)[: 10 * most].split())
    )
    return line if len(line) <= most else f"{line[: most - 3]}..."
