"""The typed schema of every configuration, and its checks.

Hydra composes YAML; this module turns the result into frozen objects or refuses it in one line.
It imports neither TensorFlow nor Keras, so that a mistake is answered at once. The same checks
read a run's own `config.yaml`, which may have been edited by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from src import files
from src.config.commands import (
    AnyModel,
    ConfigError,
    Describe,
    Eval,
    Predict,
    Resume,
    Train,
)
from src.config.data import Data, LabelledPictures, MaskData, PictureData
from src.config.datasets.image_folder import ImageFolder
from src.config.datasets.mask_folder import MaskFolder
from src.config.datasets.mnist import TfdsData
from src.config.datasets.mnist_5k import BundledDigits
from src.config.datasets.oxford_iiit_pet import OxfordPet
from src.config.datasets.photographs import Photographs
from src.config.datasets.scenes import Scenes
from src.config.datasets.tfds import Tfds, TfdsMasks
from src.config.explain import Explain, Method, Network
from src.config.model import Model, TaskName
from src.config.models.autoencoder import Autoencoder
from src.config.models.fcn import Fcn
from src.config.models.lenet5 import LeNet5
from src.config.models.lenet_mnist import LeNetMnist
from src.config.models.transfer import Transfer
from src.config.search import Search
from src.config.section import Section, Shape, flat
from src.config.training import Optimizer, Trainer

__all__ = [
    "AnyModel",
    "Autoencoder",
    "BundledDigits",
    "ConfigError",
    "Data",
    "Describe",
    "Eval",
    "Explain",
    "Fcn",
    "ImageFolder",
    "LabelledPictures",
    "LeNet5",
    "LeNetMnist",
    "MaskData",
    "MaskFolder",
    "Method",
    "Model",
    "Network",
    "Optimizer",
    "OxfordPet",
    "Photographs",
    "PictureData",
    "Predict",
    "Resume",
    "Scenes",
    "Search",
    "Shape",
    "TaskName",
    "Tfds",
    "TfdsData",
    "TfdsMasks",
    "Train",
    "Trainer",
    "Transfer",
    "dump",
    "flat",
    "load",
    "parse",
]

Checked = TypeVar("Checked", bound=Section)

_MOST = 1 << 18  # Bytes of a configuration: the names and colours of 256 classes are 10 kB.


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, a kilobyte of which can stand for a gigabyte."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuses an alias.

        Raises:
            yaml.YAMLError: there is one.
        """
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def parse(section: type[Checked], values: Any) -> Checked:
    """Checks composed values against a section of the schema.

    Args:
        section: `Train` or `Eval`.
        values: what Hydra composed, as plain dictionaries, lists and scalars.

    Raises:
        ConfigError: in one line, the first key that is wrong, what was expected and received.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from error


def load(path: Path) -> Train:
    """Reads a run's `config.yaml` through the same checks.

    Raises:
        ConfigError: if the file is missing, is not YAML, or does not pass the checks.
    """
    try:
        values = yaml.load(files.read(path, _MOST), _PlainLoader)
    # A number of 5,000 digits, `!!bool x`, brackets without end: the parser of YAML hands on
    # whatever Python raises.
    except Exception as error:
        reason = files.clipped(error)
        raise ConfigError(
            f"expected a readable run configuration; received {path} ({reason})"
        ) from error
    try:
        return parse(Train, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def dump(config: Train) -> str:
    """Writes a configuration as YAML that `load` reads back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _shown(value: Any) -> str:
    """A value for a message; Python refuses to print a number of thousands of digits."""
    try:
        return files.clipped(repr(value))
    except ValueError:
        return "a number of thousands of digits"


def _one_line(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False)
    # The tag of a discriminated union stands in the location, but is no key of the user's.
    names = [str(part) for part in first["loc"]]
    if len(names) > 2 and names[0] in ("model", "data"):
        del names[1]
    key, received = ".".join(names) or "all of it", first["input"]
    match first["type"]:
        case "value_error":
            line = str(first["ctx"]["error"])
        case "extra_forbidden":
            line = f"expected a known key; received {key}={_shown(received)}"
        case "missing":
            line = f"{key}: expected a value; received none"
        case "union_tag_invalid" | "union_tag_not_found":
            expected = first["ctx"].get("expected_tags", "a name")
            tag = first["ctx"].get("tag", "none")
            line = f"{key}.name: expected one of {expected}; received {_shown(tag)}"
        case _:
            expected = first["msg"].removeprefix("Input should be ")
            line = f"{key}: expected {expected}; received {_shown(received)}"
    line = files.clipped(line, 1000)
    return f"{line} (and {len(others)} more)" if others else line
