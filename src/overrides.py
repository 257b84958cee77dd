"""The overrides and flags of a command line, read before Hydra sees any of them.

Hydra's own keys and flags can import modules, unpickle files and make folders. The program means
none of them but these: `-m`, `--help`, `--cfg job`, and launchers with their options by name.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from src import quoting
from src.config.keys import Key
from src.errors import UserError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
_FLAGS = {
    "-m": "multirun",
    "--multirun": "multirun",
    "-h": "help",
    "--help": "help",
    "--cfg": "show",
    "-c": "show",
    "--version": "version",
}
_LAUNCHER = "hydra.launcher."
_LONGEST = 20_000
_MOST_JOBS = 10_000
# What stands for several values, or is computed, in a multirun.
_FUNCTION = re.compile(
    r"(choice|range|interval|glob|sort|shuffle|tag|extend_list)\(.*\)", re.DOTALL
)


@dataclass
class CommandLine:
    """What a command line asks for.

    Attributes:
        settings: `key=value` for Hydra, quoted where its grammar needs it.
        topics: with `help`: what to explain.
        multirun: whether to run every combination of the values.
        help: whether to explain the command rather than run it.
        show: whether to print the configuration rather than run it.
        version: whether to print the program's version.
        launcher: what `hydra/launcher` and `hydra.launcher.` say.
    """

    settings: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    multirun: bool = False
    help: bool = False
    show: bool = False
    version: bool = False
    launcher: dict[str, str] = field(default_factory=dict)


def groups(config_name: str) -> dict[str, list[str]]:
    """The groups of a primary configuration in `configs/`, and what can be chosen in each."""
    return {
        group: sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
        for group in _defaults(config_name)
    }


def _defaults(config_name: str) -> dict[str, str | None]:
    primary = yaml.safe_load((CONFIGS / f"{config_name}.yaml").read_text(encoding="utf-8"))
    entries = primary.get("defaults", ())
    chosen = [entry for entry in entries if isinstance(entry, dict)]
    if "train" in entries:
        return _defaults("train")
    return {group: choice for entry in chosen for group, choice in entry.items()}


def read(arguments: list[str], config_name: str, keys: Mapping[str, Key]) -> CommandLine:
    """Reads a command line.

    Args:
        arguments: what follows the name of the command.
        config_name: primary configuration in `configs/`.
        keys: what may be set.

    Raises:
        UserError: an argument is none that the program means.
    """
    line, settings = CommandLine(), []
    rest = iter(arguments)
    for argument in rest:
        if len(argument) > _LONGEST:
            raise UserError(
                f"expected arguments of at most {_LONGEST:,} characters; received {argument}"
            )
        flag, _, value = argument.partition("=")
        if flag in _FLAGS and (not value or _FLAGS[flag] == "show"):
            setattr(line, _FLAGS[flag], True)
            value = value or (next(rest, "") if _FLAGS[flag] == "show" else "")
            if _FLAGS[flag] == "show" and value != "job":
                raise UserError(f"expected --cfg job; received --cfg {value}")
        elif argument.startswith("-"):
            known = "key=value, -m, --help, --cfg job or --version"
            near = nearest(flag.lstrip("-").replace("-", "_"), keys)
            raise UserError(f"expected {known}; received {argument}{near}")
        elif argument in keys or "=" in argument:
            settings.append(argument)
        else:
            line.topics.append(argument)
    if line.topics and not line.help:
        raise UserError(f"expected arguments of the form key=value; received {line.topics[0]!r}")
    reader = _Reader(config_name, keys, line.multirun)
    line.settings = [setting for argument in settings for setting in reader.setting(argument)]
    line.launcher = reader.launcher
    if line.launcher and not line.multirun and not line.help:
        raise UserError("expected -m with a launcher, which runs several jobs; received none")
    return line


def jobs(settings: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Every combination of the values that a multirun's settings name.

    Yields:
        What tells a job from the others, such as `model=lenet5,seed=0`, and its settings.

    Raises:
        UserError: there are too many, or a range of real numbers has no end of values.
    """
    choices: list[list[tuple[str, bool]]] = []
    count = 1
    for override in OverridesParser.create().parse_overrides(settings):
        key, varied = override.key_or_group, override.is_sweep_override()
        if not varied:
            values = [override.get_value_element_as_str()]
        else:
            if not override.is_discrete_sweep():
                raise UserError(f"expected values to choose from; received {override.input_line}")
            values = list(itertools.islice(override.sweep_string_iterator(), _MOST_JOBS + 1))
        choices.append([(f"{key}={value}", varied) for value in values])
        count *= len(values)
    if count > _MOST_JOBS:
        raise UserError(f"expected at most {_MOST_JOBS:,} jobs; received more")
    for job in itertools.product(*choices):
        name = ",".join(argument for argument, varied in job if varied)
        yield name, [argument for argument, _ in job]


def nearest(key: str, keys: Mapping[str, Key] | list[str]) -> str:
    """The nearest key that there is, as a hint behind what was received; or nothing."""
    found = difflib.get_close_matches(key, list(keys), 1, 0.75)
    last = [name for name in keys if name.rpartition(".")[2] == key.rpartition(".")[2]]
    found = found or last[:1]
    if not found:
        lasts = {name.rpartition(".")[2]: name for name in keys}
        found = [lasts[n] for n in difflib.get_close_matches(key.rpartition(".")[2], lasts, 1, 0.8)]
    return f" ({found[0]}?)" if found else ""


class _Reader:
    """Reads one `key=value` after another; what a text says is what its user wrote."""

    def __init__(self, config_name: str, keys: Mapping[str, Key], multirun: bool) -> None:
        self.keys = keys
        self.groups = groups(config_name)
        self.optional = {group for group, name in _defaults(config_name).items() if name is None}
        self.multirun = multirun
        self.parser = OverridesParser.create()
        self.launcher: dict[str, str] = {}

    def setting(self, argument: str) -> list[str]:
        """Returns the argument as Hydra is to read it; nothing for what changes nothing."""
        key, equals, value = argument.strip().partition("=")
        key = key.strip().lstrip("+")
        if equals and not key:
            raise UserError(f"expected arguments that compose; received {argument}")
        if not equals:
            raise UserError(f"expected arguments of the form key=value; received {argument!r}")
        if key.startswith("~"):
            raise UserError(f"expected key=value, which takes nothing away; received {argument}")
        if re.match(r"hydra\b", key):
            if key == "hydra/launcher" or key.startswith(_LAUNCHER):
                self.launcher["name" if "/" in key else key.removeprefix(_LAUNCHER)] = value.strip()
                return []
            raise UserError(
                "expected none of Hydra's own keys but hydra/launcher= and hydra.launcher.; "
                f"received {key}= (run_dir= says where a run goes)"
            )
        if key in self.groups:
            return [f"{key}={self._choice(key, value)}"]
        if f"{key}.name" in self.keys:
            # A section that is no group, by the name in it.
            key = f"{key}.name"
        if key not in self.keys:
            known = [*self.groups, *self.keys]
            raise UserError(f"expected a known key; received {key}{nearest(key, known)}")
        return [f"{key}={self._value(key, value)}"]

    def _choice(self, group: str, value: str) -> str:
        value = value.strip()
        chosen = [value]
        if self.multirun and (parsed := self._parsed(group, value)) and parsed.is_sweep_override():
            chosen = list(map(str, parsed.sweep_string_iterator()))
        known = self.groups[group]
        for name in chosen:
            if name not in known and not (name == "null" and group in self.optional):
                raise UserError(
                    f"{group}: expected one of {', '.join(known)}; received {name!r}"
                    f"{nearest(name, known)}"
                )
        return value

    def _value(self, key: str, value: str) -> str:
        kind = self.keys[key].kind
        if kind == "text" or (kind == "texts" and self.multirun):
            if self.multirun and _FUNCTION.fullmatch(value):
                return value
            parts = quoting.parts(value) if self.multirun else [value]
            return ",".join(self._text(key, part) for part in parts)
        if kind == "texts":
            return self._text(key, value)
        parsed = self._parsed(key, value)
        if parsed is None:
            return quoting.quoted(value)
        if parsed.is_sweep_override() and not self.multirun:
            raise UserError(f"{key}: expected one value, or -m to run each; received {value}")
        return value

    def _text(self, key: str, value: str) -> str:
        stripped = value.strip()
        if value == "null" or (stripped[:1] in ("'", '"') and self._parsed(key, stripped)):
            return stripped
        if stripped[:1] == "[" and stripped[-1:] == "]":
            if self.keys[key].kind == "texts":
                parts = quoting.parts(stripped[1:-1]) if stripped[1:-1].strip() else []
                return f"[{','.join(self._text(key, part.strip()) for part in parts)}]"
            if self._parsed(key, stripped):
                return stripped
        return quoting.quoted(value)

    def _parsed(self, key: str, value: str) -> Override | None:
        try:
            return self.parser.parse_override(f"{key}={value}")
        # Numbers of thousands of digits, brackets without end, and whatever Hydra cannot parse.
        except Exception:
            return None
