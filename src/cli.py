"""What the command lines share: Hydra composes, mistakes are answered in one line.

Exit statuses: 0 done; 2 something was expected that was not received; 75 stopped by SIGINT or
SIGTERM with its state saved, to go on with `resume=`; 130 ended at once by Ctrl-C.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src import machine
from src.errors import UserError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
MISTAKE = 2
STOPPED = 75  # EX_TEMPFAIL of sysexits.h: try again later.
INTERRUPTED = 130


class _Stopped(BaseException):
    """Ends the other jobs of a multirun, which Hydra would go on with after an `Exception`."""


def run(config_name: str, main: Callable[[dict[str, Any], list[str]], int]) -> None:
    """Composes the configuration that the command line asks for, and ends with `main`'s status.

    Args:
        config_name: primary configuration in `configs/`.
        main: takes the composed values as plain dictionaries and the words of the command line
            that changed them, once for each job of a multirun, and returns an exit status.
    """
    # Hydra then raises what it would otherwise print over several lines.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    sys.argv[1:] = [_quoted(word) for word in sys.argv[1:]]
    status = 0
    composed = False

    def job(composition: DictConfig) -> None:
        nonlocal status, composed
        composed = True
        settings = HydraConfig.get()
        try:
            values = cast("dict[str, Any]", OmegaConf.to_container(composition, resolve=True))
            if settings.mode == RunMode.MULTIRUN:
                machine.keep_threads()
                if values.get("run_dir"):
                    values["run_dir"] = str(Path(str(values["run_dir"])) / str(settings.job.num))
            status = main(values, list(settings.overrides.task)) or status
        except (UserError, OmegaConfBaseException) as error:
            status = _refuse(_one_line(error))
        if status == STOPPED:
            raise _Stopped

    try:
        # Hydra wants a folder for a multirun, before any of its jobs is known to be right.
        with tempfile.TemporaryDirectory() as scratch:
            OmegaConf.register_new_resolver("scratch", lambda: scratch)
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(job)()
    except _Stopped:
        status = STOPPED
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:
        # Before the first job there is nothing but the user's words to be wrong.
        if composed:
            raise
        status = _refuse(_one_line(error))
    sys.exit(status)


def run_words(main: Callable[[list[str]], int]) -> None:
    """Ends with the status of a command that takes its words as they are, such as folders.

    Args:
        main: takes the words and returns an exit status.
    """
    # A terminal may know fewer letters than the names of folders have.
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except UserError as error:
        status = _refuse(_one_line(error))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough; Python would try once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


def report(what: str, metrics: Mapping[str, float | None]) -> str:
    """One line for the user: metrics by name."""
    return f"{what}: " + "  ".join(
        f"{name} {'-' if value is None else format(value, '.5g')}"
        for name, value in metrics.items()
    )


def _quoted(word: str) -> str:
    """Quotes a value that Hydra's grammar does not take as it is, such as a path with a space."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        key, _, value = word.partition("=")
        if value and re.fullmatch(r"[+~]*[A-Za-z_][\w./@]*", key):
            # A backslash is one but in front of a quote, the last one included.
            escaped = re.sub(
                r"(\\*)('|$)", lambda end: end[1] * 2 + end[2].replace("'", r"\'"), value
            )
            return f"{key}='{escaped}'"
    return word


def _refuse(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return MISTAKE


def _one_line(error: Exception) -> str:
    match error:
        case MissingConfigException() if error.options:
            group, _, choice = str(error.missing_cfg_file).rpartition("/")
            return f"{group}: expected one of {', '.join(error.options)}; received {choice!r}"
        case OverrideParseException():
            return f"expected words of the form key=value; received {error.override!r}"
    text = " ".join(str(error).split())
    if unknown := re.match(r"Could not override '(.+?)'", text):
        return f"expected a known key; received {unknown[1]}"
    if isinstance(error, UserError):
        return text
    words = " ".join(sys.argv[1:])
    return f"expected words that compose; received {words} ({text.split(' full_key:')[0]})"
