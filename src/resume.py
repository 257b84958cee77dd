"""Which settings a resumed run goes on with: its own, unless the user insists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src import config, results
from src.errors import UserError

# What may change without changing what the steps do; another strategy rounds in another order.
_FREE = {
    "trainer.epochs",
    "trainer.steps",
    "trainer.checkpoint_every",
    "trainer.explain_every",
    "trainer.keep",
    "trainer.strategy",
    "trainer.test_time_flip",
    "data.dir",
    "data.idx_dir",
    "data.memory_budget",
}
_OWN_KEYS = {"resume", "force", "config"}


def merged(
    own: config.Train, values: dict[str, Any], arguments: list[str], force: bool
) -> config.Train:
    """The run's own settings with those that the command line changes.

    Args:
        own: the run's.
        values: the composed configuration, defaults and all.
        arguments: the `key=value` arguments of the command line; only they change anything.
        force: whether they may change what the steps do.

    Raises:
        UserError: an argument changes what the steps do, and `force` is not set.
    """
    flat = config.flat(own.model_dump(mode="json"))
    composed = config.flat(values)
    chosen = dict(flat)
    for key in {argument.lstrip("+~").split("=")[0] for argument in arguments} - _OWN_KEYS:
        parts = {name for name in composed if name == key or name.startswith(f"{key}.")}
        if not parts or (key == "run_dir" and own.run_dir != composed[key]):
            raise UserError(f"expected no {key}= with resume= or config=; received {key}=")
        stale = {name for name in chosen if name.startswith(f"{key}.")}
        chosen = {name: value for name, value in chosen.items() if name not in stale - parts}
        chosen |= {name: composed[name] for name in parts}
    settings = config.parse(config.Train, _nested(chosen))
    new = config.flat(settings.model_dump(mode="json"))
    changed = sorted(name for name in flat.keys() | new.keys() if flat.get(name) != new.get(name))
    refused = [name for name in changed if name not in _FREE]
    if refused and not force:
        listed = ", ".join(f"{name}={new.get(name)} (was {flat.get(name)})" for name in refused)
        raise UserError(f"expected the run's own settings, or force=true; received {listed}")
    return settings


def finished(folder: Path, own: config.Train, settings: config.Train) -> bool:
    """Whether the run has been trained and evaluated to its end and `settings` do not move it."""
    same = (own.trainer.epochs, own.trainer.steps) == (
        settings.trainer.epochs,
        settings.trainer.steps,
    )
    return same and results.complete(folder)


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, key = name.split(".")
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return nested
