"""A run's folder: how it is named, made and found, and how a process has it to itself."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from io import BufferedWriter
from pathlib import Path

from src import files
from src.errors import UserError

OUTPUTS = Path("outputs")
CONFIG = "config.yaml"
RESULTS = "results.json"
METRICS = "metrics.jsonl"
# Everything that a run writes into its folder; predictions may lie beside it.
_OWN = (CONFIG, RESULTS, METRICS, "train.log", ".lock", ".results.lock")
_OWN_FOLDERS = ("checkpoints", "tensorboard", "figures")
# File systems without locks: some network file systems, and some of FUSE.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def create(model: str, run_dir: str | None) -> Path:
    """Makes the folder of a new run.

    Args:
        model: name of the model.
        run_dir: the folder that the user asked for; if None, `outputs/<model>/<time>`.

    Raises:
        UserError: the folder cannot be made, or there is something in it already.
    """
    check_free(run_dir)
    try:
        if run_dir is None:
            return _create_dated(OUTPUTS / model)
        folder = Path(run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except OSError as error:
        where = files.clipped(run_dir or OUTPUTS / model)
        raise UserError(
            f"expected a folder that can be written to; received {where} ({error.strerror})"
        ) from error


def check_weights(weights: str, named: Sequence[str]) -> None:
    """Refuses `model.weights` that are neither a file nor one of the names.

    Raises:
        UserError: there is no such file.
    """
    if weights not in named and not os.path.isfile(weights):
        raise UserError(
            f"expected a weights file there, {' or '.join(named)}; received "
            f"model.weights={files.clipped(weights)}"
        )


def check_free(run_dir: str | None) -> None:
    """Refuses a folder that holds something already, or that cannot be made.

    Raises:
        UserError: there is something in it, it is a file, or nothing may be written there.
    """
    folder = Path(run_dir) if run_dir else OUTPUTS
    try:
        if "\0" in str(folder):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if run_dir and folder.exists() and (not folder.is_dir() or not _empty(folder)):
            raise UserError(
                f"expected a new or empty folder; received run_dir={files.clipped(run_dir)}"
            )
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        longest = max((len(os.fsencode(part)) for part in folder.parts), default=0)
        if longest > os.pathconf(there, "PC_NAME_MAX"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except OSError as error:
        raise UserError(
            f"expected a folder that can be written to; received {files.clipped(folder)} "
            f"({error.strerror})"
        ) from error
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(
            f"expected a folder that can be written to; received {files.clipped(folder)} in {there}"
        )


def _empty(folder: Path) -> bool:
    """Whether there is nothing in it but what a run leaves that was killed before it began."""
    return {path.name for path in folder.iterdir()} <= {".lock", f".{CONFIG}.writing"}


def _create_dated(parent: Path) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        try:
            (parent / f"{stamp}{suffix}").mkdir(parents=True)
        except FileExistsError:
            continue
        return parent / f"{stamp}{suffix}"
    raise UserError(f"expected fewer than 1000 runs a second in {parent}; received one more")


def find(run: str, whole: bool = False) -> Path:
    """Finds a run's folder, and makes sure that nothing in it leads out of it.

    Args:
        run: the folder, or `latest`: the one last begun below `outputs/`, also below links in it.
        whole: whether all of it is needed, as to go on with it: who only evaluates or predicts has
            what there is, even if it cannot be written down.

    Raises:
        UserError: there is no such run, or it may not be looked into, or one of its files is none.
    """
    if run == "latest":
        folder = _latest()
    else:
        folder = Path(run)
        try:
            (folder / CONFIG).lstat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"expected a run's folder, with its {CONFIG}; received run={files.clipped(run)} "
                f"({reason})"
            ) from error
    check_regular(folder, whole)
    return folder


def _latest() -> Path:
    """The run last begun below `outputs/`; links to folders are followed, but not in a circle."""
    begun: dict[Path, int] = {}
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(OUTPUTS, followlinks=True):
        with suppress(OSError):
            status = os.stat(parent)
            known = (status.st_dev, status.st_ino) in seen
            seen.add((status.st_dev, status.st_ino))
            if CONFIG in names:
                begun[Path(parent)] = (Path(parent) / CONFIG).lstat().st_mtime_ns
            # There are no runs inside of a run.
            if known or CONFIG in names:
                folders.clear()
    if not begun:
        raise UserError(f"expected a run below {OUTPUTS.resolve()}; received run=latest")
    return max(begun, key=begun.__getitem__)


def check_regular(folder: Path, whole: bool = True) -> None:
    """Refuses a run of which a file is none: a link, which would lead a write elsewhere, or a pipe.

    Args:
        folder: the run's.
        whole: whether a folder in the place of a file, or a file in that of a folder, is refused.

    Raises:
        UserError: it names the file.
    """
    try:
        for name in (*_OWN, *_OWN_FOLDERS):
            path = folder / name
            wanted = "folder" if name in _OWN_FOLDERS else "file"
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue
            a_folder = stat.S_ISDIR(mode)
            fits = a_folder == (wanted == "folder") or not whole
            strange = None if fits and (a_folder or stat.S_ISREG(mode)) else path
            if strange is None and a_folder and wanted == "folder":
                strange = files.irregular(path)
            if strange is not None:
                raise UserError(f"expected a {wanted} of the run's own; received {strange}")
    except OSError as error:
        raise UserError(
            f"expected a run's folder that can be read; received {error.filename} "
            f"({error.strerror})"
        ) from error


class Place:
    """Where a run that writes has its folder, which may be removed or replaced while it trains.

    Whoever removes it wants the run gone: writing on would bring a part of it back, or mix it with
    a new run of the same name.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known = _identity(folder)

    def check(self) -> None:
        """Makes sure that the run's folder is still the one that it was.

        Raises:
            OSError: it has been removed, renamed, or replaced by another.
        """
        if _identity(self.folder) != self._known or not (self.folder / CONFIG).exists():
            raise FileNotFoundError(errno.ENOENT, "the run's folder is gone", str(self.folder))


def _identity(folder: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = folder.stat()
        return status.st_dev, status.st_ino
    return None


@contextmanager
def locked(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Within the block no other process trains in the folder; the lock dies with its process.

    Args:
        folder: the run's.
        patience: seconds to wait for another process.

    Raises:
        UserError: another process is training there, or the folder cannot be written to.
    """
    with exclusive(folder / ".lock", patience):
        yield


@contextmanager
def exclusive(path: Path, patience: float = math.inf) -> Iterator[BufferedWriter]:
    """Within the block no other process has the file; where there are no locks, it may.

    Args:
        path: the file, which is made if it is not there.
        patience: seconds to wait for a process that has it.

    Yields:
        The file, open. What inherits its descriptor has the lock, too, until it ends.

    Raises:
        UserError: another process still has it then, or it cannot be written to.
    """
    try:
        file = files.open_to_append(path)
    except OSError as error:
        raise UserError(
            f"expected a folder that can be written to; received {path.parent} ({error.strerror})"
        ) from error
    with file:
        try:
            _lock(file, patience)
        except BlockingIOError as error:
            raise UserError(
                f"expected a folder in which no other process trains; received {path.parent}"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise UserError(f"expected to lock {path}; received {error.strerror}") from error
            if not patience:
                notice = "no locks on this file system: nothing keeps a second run out"
                print(f"{path.parent}: {notice}", file=sys.stderr)
        yield file


def _lock(file: BufferedWriter, patience: float) -> None:
    if math.isinf(patience):
        fcntl.flock(file, fcntl.LOCK_EX)
        return
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Within the block an error of the disk is told in one line.

    Raises:
        UserError: it says where, and what.
    """
    try:
        yield
    except OSError as error:
        where, reason = error.filename or folder, files.clipped(error.strerror or error)
        raise UserError(f"expected to write to {where}; received {reason}") from error
