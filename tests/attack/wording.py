"""Command lines made of all sorts of words."""

from __future__ import annotations

import random
from pathlib import Path

from tests.attack.trial import Report, invoke

KEYS = [
    *("model", "data", "trainer", "optimizer", "experiment", "seed", "run_dir", "resume", "force"),
    *("model.filters", "model.latent", "trainer.epochs", "trainer.batch_size", "trainer.keep"),
    *("optimizer.learning_rate", "data.dir", "data.names", "run", "input", "output", "checkpoint"),
    *("hydra.run.dir", "hydra.output_subdir", "hydra/job_logging", "hydra.sweep.dir", "hydra"),
    *("hydra.callbacks.a._target_", "hydra/launcher", "hydra/sweeper", "hydra.searchpath"),
    *("hydra.job.env_set.X", "hydra.job.chdir", "trainer.epoch", "modle", "_target_", "x.y.z"),
]
VALUES = [
    *("", "1", "-1", "0", "1e-3", "1.10", "nan", "inf", "true", "null", "???", "x", "latest", "~"),
    *("[1,2]", "[", "]", "{a: 1}", "{", "'", '"', "\\", "a b", "a\nb", "a\tb", "é", "名", "\x7f"),
    *("${oc.env:HOME}", "${seed}", "${x", "$(touch ran)", "`touch ran`", "../..", "/", "/dev/null"),
    *("subprocess.run", "numpy.load", "file:///etc", "pkg://hydra", "9" * 4300, "x" * 5000),
    *("[" * 1000, "a=b", "a,b", "1,2", "range(3)", "choice(1,2)", "glob(*)", "int(x)", "a,b.png"),
]
FLAGS = [
    *("--force", "--epochs", "--epochs=3", "-x", "--config-name=eval", "--config-path=/tmp"),
    *("--config-dir=.", "--config-dir=/nowhere", "--experimental-rerun=x.pickle", "--info", "-p"),
    *("--resolve", "--package=x", "--shell-completion", "--version", "--help", "-h", "--cfg=job"),
    *("--hydra-help", "--cfg", "-m", "--multirun", "--run", "--", "-", "", "model", "resume"),
]
MARKS = ["", "", "", "", "+", "++", "~", "~~", " "]


def attack(report: Report, folder: Path, chance: random.Random, trials: int) -> None:
    """Says random words to each command: status 0 or 2, one line, and nothing is written."""
    (folder / "taken").mkdir()
    (folder / "taken" / "a file").write_text("of somebody's")
    for _ in range(trials):
        module = chance.choice(["train", "train", "train", "eval", "predict", "describe"])
        words = [_word(chance) for _ in range(chance.randint(1, 4))]
        if module == "train":
            # Whatever else is said, a run may not begin in a folder that holds something.
            words.append("run_dir=taken")
        what = f"src.{module} {' '.join(map(repr, words))[:300]}"
        outcome = invoke(f"src.{module}", words, folder)
        report.judge(what, outcome, {0, 2})
        if outcome.status == 2:
            count = len(outcome.err.splitlines())
            report.expect(count <= 1, f"{what}: {count} lines of error")
        made = sorted(p.name for p in folder.iterdir() if p.name != "taken")
        report.expect(not made, f"{what}: made {made}")
        kept = [p.name for p in (folder / "taken").iterdir()]
        report.expect(kept == ["a file"], f"{what}: made {kept}")
        report.count()


def _word(chance: random.Random) -> str:
    if chance.random() < 0.25:
        return chance.choice(FLAGS)
    key = chance.choice(KEYS)
    return f"{chance.choice(MARKS)}{key}{chance.choice(['=', '=', '=', '=', '', '@a='])}" + (
        chance.choice(VALUES)
    )
