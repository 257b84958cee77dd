"""Where data lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from src.data import download, prepared
from src.data.dataset import DataError

TFDS_REMEDY = "set data.dir (or TFDS_DATA_DIR) to a prepared TensorFlow Datasets folder"


class Absent(DataError):
    """A data set that is neither here nor to be downloaded; the message says no remedy."""


def absolute(text: str, key: str) -> Path:
    """The path that a user's text means, wherever the program is started later.

    Args:
        text: the path; it may begin with `~`.
        key: the option that it belongs to, for a message.

    Raises:
        DataError: there is no such home.
    """
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise DataError(
            f"expected {key} below a home that there is (is HOME set?); received {key}={text}"
        )
    return Path(os.path.abspath(path))


def tfds_folder(name: str, root: str | None, version: str | None = None) -> Path:
    """The folder `<root>/<name>/<version>` that TensorFlow Datasets has prepared, or prepares now.

    Args:
        name: of the data set, with `/<config>` if there is one.
        root: where it is looked for, and nowhere else; if None, where the environment says
            (`TFDS_DATA_DIR`), or in `~/tensorflow_datasets`, and if it is not there it is
            downloaded.
        version: such as `3.0.1` or `3.*.*`; None for the newest.

    Raises:
        DataError: it is not in the root that was given.
        Absent: it is not here, and its download failed.
    """
    ambient = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    where = absolute(ambient, "TFDS_DATA_DIR") if root is None else absolute(root, "data.dir")
    found = prepared.find(where, name, version)
    if found is None and root is not None:
        raise DataError(
            f"expected data.dir to hold {name}/{version or '<version>'}/dataset_info.json, as "
            f"TensorFlow Datasets prepares it; received data.dir={root}"
        )
    try:
        return found or download.prepare(f"{name}:{version}" if version else name, where)
    except download.DownloadError as error:
        raise Absent(f"{name} is not prepared in {where} and its download failed ({error})") from (
            error
        )


def tfds_location(folder: Path, name: str) -> dict[str, str]:
    """The options with which the folder of a data set is found again without the environment."""
    return {"dir": str(folder.parents[1 + name.count("/")])}
