"""Lets TensorFlow Datasets (TFDS) prepare a data set, with a download that knows when to stop.

TFDS' own download sets no time limit and retries ten times: behind a silent firewall it hangs.
Here the files are fetched first, and given up when nothing has arrived for some seconds, however
slowly they arrive otherwise. TFDS then finds them where it looks for files that the user has
downloaded, checks their checksums and prepares them as always.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from src.data import tfds_info

STALL_SECONDS = 10.0
_CHUNK = 1 << 10


class DownloadError(OSError):
    """A download that failed; its message is one short line, why."""


def prepare(name: str, root: Path) -> Path:
    """Downloads a data set and prepares it as `<root>/<name>/<version>`.

    Args:
        name: of a TFDS builder, such as `mnist`, `emnist/letters` or `kmnist:3.0.1`.
        root: TFDS data folder; it is made if it does not exist.

    Returns:
        The prepared folder.

    Raises:
        DownloadError: the folder cannot be written, nothing arrives for `STALL_SECONDS`, the
            server refuses, or the files are not those that TFDS knows.
    """
    existing = next(folder for folder in (root, *root.parents) if os.path.exists(folder))
    if not os.access(existing, os.W_OK):
        raise DownloadError(f"{existing} cannot be written")
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        builder = tfds.builder(name, data_dir=root)
        with tempfile.TemporaryDirectory(prefix="deconv-", ignore_cleanup_errors=True) as files:
            if builder.url_infos:
                fetch(sorted(builder.url_infos), Path(files))
            config = tfds.download.DownloadConfig(manual_dir=files, force_checksums_validation=True)
            # A folder of its own: TFDS names what it unpacks by the file alone, and MNIST's
            # files are named like Fashion-MNIST's.
            builder.download_and_prepare(download_dir=files, download_config=config)
    except DownloadError:
        raise
    # What TFDS raises while it prepares is not documented: whatever it is, there is no data set.
    except Exception as error:
        raise DownloadError(f"preparing failed, {type(error).__name__}: {_first(error)}") from error
    folder = Path(builder.data_dir)
    if not (folder / tfds_info.INFO).is_file():
        raise DownloadError(f"nothing was prepared in {root}")
    return folder


@dataclass
class _Progress:
    """What the fetching thread tells the waiting one, and the other way round."""

    at: float = field(default_factory=time.monotonic)
    url: str = ""
    error: Exception | None = None
    abandoned: bool = False


def fetch(urls: Sequence[str], folder: Path, stall: float = STALL_SECONDS) -> None:
    """Downloads files one after the other under the last part of their addresses.

    Args:
        urls: `http` or `https` addresses.
        folder: existing folder for the files.
        stall: the download is given up when less than a kibibyte arrived in so many seconds.
            The rule is the same for a name server, a connection and a body that do not answer.

    Raises:
        DownloadError: the server refuses, breaks off or falls silent.
    """
    progress = _Progress(url=urls[0])
    # A daemon, because looking up a name takes no time limit: it must not delay the exit.
    thread = threading.Thread(
        target=_fetch_all, args=(urls, folder, stall, progress), daemon=True, name="download"
    )
    thread.start()
    try:
        while thread.is_alive():
            thread.join(timeout=0.05)
            if time.monotonic() - progress.at > stall and thread.is_alive():
                raise DownloadError(
                    f"nothing arrived from {urlsplit(progress.url).hostname} for {stall:g} s"
                )
    finally:
        progress.abandoned = True
    if progress.error:
        host = urlsplit(progress.url).hostname
        raise DownloadError(f"{host}: {_reason(progress.error)}") from progress.error


def _fetch_all(urls: Sequence[str], folder: Path, stall: float, progress: _Progress) -> None:
    import requests

    try:
        with requests.Session() as session:
            for url in urls:
                progress.url = url
                path = folder / urlsplit(url).path.rpartition("/")[2]
                with (
                    # The waiting thread decides; this limit only ends an abandoned one.
                    session.get(url, stream=True, timeout=2 * stall) as response,
                    path.open("wb") as file,
                ):
                    response.raise_for_status()
                    if url == urls[0]:
                        _announce(urls)
                    for chunk in response.iter_content(_CHUNK):
                        if progress.abandoned:
                            return
                        file.write(chunk)
                        progress.at = time.monotonic()
    except (requests.RequestException, OSError) as error:
        progress.error = error


def _announce(urls: Sequence[str]) -> None:
    # Only once the server answers: where there is no network, nothing is being downloaded.
    host = urlsplit(urls[0]).hostname
    print(f"downloading {len(urls)} files from {host}", file=sys.stderr, flush=True)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    # The library's own text runs over half a page of nested causes.
    return type(error).__name__


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
