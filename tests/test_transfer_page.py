"""The page about networks that others have trained: its commands are ones, and its numbers."""

import re
import shlex

import pytest

from src import cli, config
from src.config.backbones import BACKBONES
from tests.commands import ROOT

PAGE = (ROOT / "docs" / "transfer.md").read_text()
COMMANDS = re.findall(r"^    python -m src\.train (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("words", COMMANDS, ids=[re.sub(r"\W+", " ", words) for words in COMMANDS])
def test_every_training_is_one_that_the_schema_takes(words):
    values = cli.composed("train", shlex.split(words))
    for name in ("resume", "force", "config"):
        del values[name]
    settings = config.parse(config.Train, values)
    assert settings.model.name == "transfer"
    assert settings.model.backbone in BACKBONES
