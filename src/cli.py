"""What the command lines share: Hydra composes, mistakes are answered in one line.

Exit statuses: 0 done; 2 something was expected that was not received; 75 stopped by SIGINT, SIGTERM
or SIGHUP with its state saved, to go on with `resume=`; 130 ended at once.
"""

from __future__ import annotations

import inspect
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src import config, launchers, manual, multirun, overrides, quiet, signals
from src.config.keys import keys
from src.config.section import Section
from src.errors import UserError

MISTAKE = 2
_LONGEST_LINE = 600

Main = Callable[[dict[str, Any], list[str]], int]


def run(config_name: str, main: Main, *sections: type[Section]) -> None:
    """Composes the configuration that the command line asks for, and ends with `main`'s status.

    Args:
        config_name: primary configuration in `configs/`.
        main: takes the composed values as plain dictionaries and the arguments of the command line
            that changed them, and returns an exit status.
        sections: the schema of the values.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # A run has its log; what the other commands print is what they were asked for.
    _end(lambda: _status(config_name, main, sections), told=config_name not in ("train", "search"))


def run_plain(main: Callable[[list[str]], int]) -> None:
    """Ends with the status of a command that takes its arguments as they are, such as folders.

    Args:
        main: takes the arguments and returns an exit status.
    """
    _end(lambda: main(sys.argv[1:]), told=True)


def _end(work: Callable[[], int], told: bool) -> None:
    """Ends the process with the status of what it does; mistakes are one line.

    Args:
        work: returns the status.
        told: whether what it prints is its result, so that a full disk is a mistake.
    """
    quiet.forgive_streams()
    try:
        with signals.handled():
            status = work()
        if status == 0 and told and (reason := quiet.lost_output()):
            status = refuse(f"expected room for standard output; received {reason}")
    except signals.Asked:
        status = signals.ENDED_AT_ONCE
    except UserError as error:
        status = refuse(str(error))
    sys.exit(status)


def _status(config_name: str, main: Main, sections: tuple[type[Section], ...]) -> int:
    known = keys(*sections)
    line = overrides.read(sys.argv[1:], config_name, known)
    if line.version:
        print(_version())
        return 0
    if line.multirun and not line.help and not line.show:
        launcher = launchers.parse(line.launcher)
        jobs = list(overrides.jobs(line.settings))
        # All of them before the first begins, which may take hours.
        wrong = [told for _, job in jobs if (told := _mistake(config_name, job, sections[0]))]
        return max(map(refuse, wrong)) if wrong else multirun.run(config_name, jobs, launcher)
    values = composed(config_name, line.settings)
    if line.help:
        about = inspect.cleandoc(main.__globals__["__doc__"])
        print(manual.page(config_name, about, values, known, line.topics))
        return 0
    if line.show:
        print(OmegaConf.to_yaml(values), end="")
        return 0
    return main(values, line.settings)


def composed(config_name: str, settings: list[str]) -> dict[str, Any]:
    """The values that settings, as `overrides.read` returns them, compose.

    Raises:
        UserError: they do not compose.
    """
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(overrides.CONFIGS)):
            composition = compose(config_name, settings)
        return cast("dict[str, Any]", OmegaConf.to_container(composition, resolve=True))
    # There is nothing but the arguments that can be wrong.
    except Exception as error:
        text = str(error)
        if text.startswith("Could not override '"):
            key = text.split("'")[1]
            raise UserError(f"expected a known key; received {key}") from error
        reason = text.split("full_key:")[0]
        raise UserError(
            f"expected arguments that compose; received {' '.join(settings)} ({reason})"
        ) from error


def _mistake(config_name: str, settings: list[str], section: type[Section]) -> str | None:
    """What is wrong with a job's settings, as far as the settings alone can say."""
    try:
        values = composed(config_name, settings)
        # A run that goes on has settings of its own.
        if values.get("resume") is None and values.get("config") is None:
            config.parse(section, {k: v for k, v in values.items() if k in section.model_fields})
    except UserError as error:
        return str(error)
    return None


def _version() -> str:
    project = tomllib.loads(
        (overrides.CONFIGS.parent / "pyproject.toml").read_text(encoding="utf-8")
    )
    return f"{project['project']['name']} {project['project']['version']}"


def report(what: str, metrics: Mapping[str, float | None]) -> str:
    """One line for the user: metrics by name."""
    return f"{what}: " + "  ".join(
        f"{name} {'-' if value is None else format(value, '.5g')}"
        for name, value in metrics.items()
    )


def refuse(text: str) -> int:
    """Prints a mistake on one line, of a sensible length; returns the exit status."""
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    return MISTAKE
