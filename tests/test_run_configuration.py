"""A run's `config.yaml` may be anybody's: it is read, or refused in one line, and never runs."""

import pytest

from src import config
from src.config import ConfigError

BOMB = "a: &a [x,x]\nb: &b [*a,*a]\n"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[]",
            "\0",
            "seed: !!int x",
            'seed: !!int ""',
            "seed: !!bool x",
            "seed: !!timestamp x",
        ),
        *('seed: !!float ""', "seed: 2001-13-45", "? [a]\n: 1", "<<: 3", BOMB, "[" * 5000),
        *("- " * 5000, "seed: " + "9" * 5000, "seed: 0x" + "f" * 9999, "x: " + "y" * 300_000),
        *(
            "x: !!python/object/apply:os.system [id]",
            "\xff",
            "1: 2",
            '"\\e[2J": 1',
            'seed: "\\ud800"',
        ),
    ],
    ids=lambda text: text[:24].encode("unicode_escape").decode() or "empty",
)
def test_what_is_forged_is_told_in_one_line(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
        config.load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1500
