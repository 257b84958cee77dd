"""What a command line's arguments become before Hydra reads them."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src import config, overrides
from src.config.keys import keys
from src.errors import UserError

KEYS = keys(config.Train, config.Resume)


def settings(*said):
    return overrides.read(list(said), "train", KEYS).settings


def value(argument):
    """What Hydra makes of a argument."""
    (setting,) = settings(argument)
    return OverridesParser.create().parse_override(setting).value()


@pytest.mark.parametrize(
    "text",
    ["2024_01_31", "1e-3", "1.10", "a,b", "it's", "c:\\", "[a", "{split}/*", "true", "a b", "é=ü"],
)
def test_a_text_is_what_the_user_wrote(text):
    assert value(f"run_dir={text}") == text


def test_a_list_of_texts_needs_no_quotes():
    assert value("data.names=[prairie, bâtiment, 1.10, 'a, b']") == [
        *("prairie", "bâtiment", "1.10", "a, b"),
    ]
    assert value("data.names=null") is None
    assert value("data.names=[]") == []


def test_what_is_quoted_already_or_no_text_stays():
    assert settings("data.images='a, b'", "seed=3", "optimizer.learning_rate=1e-3") == [
        *("data.images='a, b'", "seed=3", "optimizer.learning_rate=1e-3"),
    ]
    assert value("run_dir=null") is None


def test_a_multirun_is_every_combination():
    said = overrides.read(["model=lenet5,fcn", "-m", "seed=range(0,2)"], "train", KEYS)
    assert said.multirun
    assert list(overrides.jobs(said.settings)) == [
        ("model=lenet5,seed=0", ["model=lenet5", "seed=0"]),
        ("model=lenet5,seed=1", ["model=lenet5", "seed=1"]),
        ("model=fcn,seed=0", ["model=fcn", "seed=0"]),
        ("model=fcn,seed=1", ["model=fcn", "seed=1"]),
    ]
    said = overrides.read(["-m", "run_dir=1e-3,2024_01_31"], "train", KEYS)
    assert [job for _, job in overrides.jobs(said.settings)] == [
        ["run_dir='1e-3'"],
        ["run_dir='2024_01_31'"],
    ]


def test_a_multirun_has_an_end():
    said = overrides.read(["-m", "seed=range(0,1000000000000)"], "train", KEYS)
    with pytest.raises(UserError, match="at most 10,000 jobs"):
        list(overrides.jobs(said.settings))
    said = overrides.read(["-m", "optimizer.decay=interval(0,1)"], "train", KEYS)
    with pytest.raises(UserError, match="expected values to choose from"):
        list(overrides.jobs(said.settings))


def test_every_key_says_what_it_means():
    for section in (config.Train, config.Resume, config.Eval, config.Predict, config.Describe):
        for name, key in keys(section).items():
            assert all(key.meanings), f"{section.__name__}: {name} has no meaning in its docstring"
