"""Files of a run that are damaged, emptied, forged, linked, or no files at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.attack.trial import TRAINING, Report, invoke

Damage = Callable[[Path, random.Random], object]
THESIS = "what is outside of the run"


def _flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def _replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DAMAGES: dict[str, Damage] = {
    "emptied": lambda path, chance: path.write_bytes(b""),
    "cut": lambda path, chance: os.truncate(path, chance.randint(0, path.stat().st_size)),
    "a bit": _flip,
    "noise": lambda path, chance: path.write_bytes(chance.randbytes(1000)),
    "longer": lambda path, chance: path.write_bytes(path.read_bytes() + b"\xff\n[1]\n"),
    "removed": lambda path, chance: path.unlink(),
    "a folder": lambda path, chance: _replaced(path, lambda p: p.mkdir()),
    "a pipe": lambda path, chance: _replaced(path, os.mkfifo),
    "a link": lambda path, chance: _replaced(path, lambda p: p.symlink_to("/tmp/thesis-of-attack")),
    "a dangling link": lambda path, chance: _replaced(path, lambda p: p.symlink_to("nowhere")),
    "endless": lambda path, chance: os.truncate(path, 1 << 36),
}


def _state(**changes: object) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        path = _newest(run) / "state.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        _sign(run)

    return forge


def _text(name: str, text: str) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        path = run / name if "/" not in name else _newest(run) / name.partition("/")[2]
        path.write_text(text)
        _sign(run)

    return forge


def _yaml(line: str) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        path = run / "config.yaml"
        path.write_text(f"{line}\n{path.read_text()}")

    return forge


def _pickled(run: Path) -> None:
    """Arrays of objects, which NumPy would unpickle if it were allowed to."""
    path = _newest(run) / "training.npz"
    with np.load(path) as arrays:
        names = arrays.files
    objects: dict[str, Any] = {name: np.array([print, None], dtype=object) for name in names}
    np.savez(path, **objects)
    _sign(run)


def _huge_archive(run: Path) -> None:
    """A header that declares 64 GiB in front of no data."""
    path = _newest(run) / "training.npz"
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    name = next(iter(kept))
    header = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": (1 << 34,)}
    np.lib.format.write_array_header_1_0(header, fields)
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for key, value in kept.items():
            buffer = io.BytesIO()
            np.save(buffer, value)
            archive.writestr(f"{key}.npy", header.getvalue() if key == name else buffer.getvalue())
    _sign(run)


def _weights(change: Callable[[h5py.File, str], object]) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        path = _newest(run) / "model.weights.h5"
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visititems(
                lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
            )
            change(file, names[0])
        _sign(run)

    return forge


def _declare_much(file: h5py.File, name: str) -> None:
    del file[name]
    file.create_dataset(name, shape=(1 << 30,), dtype="f4", chunks=(1 << 20,))


def _link_outside(file: h5py.File, name: str) -> None:
    del file[name]
    file[name] = h5py.ExternalLink("/tmp/thesis-of-attack", "/x")


def _store_outside(file: h5py.File, name: str) -> None:
    shape = file[name].shape
    del file[name]
    external = [("/tmp/thesis-of-attack", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset(name, shape=shape, dtype="f4", external=external)


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)
)
FORGERIES: dict[str, Callable[[Path], None]] = {
    "state a list": _text("newest/state.json", "[]"),
    "state null": _text("newest/state.json", "null"),
    "state deep": _text("newest/state.json", "[" * 100_000),
    "state without steps": _text("newest/state.json", "{}"),
    "step of 1e30": _state(step=10**30),
    "step of text": _state(step="9"),
    "step NaN": _state(step=float("nan")),
    "best NaN": _state(best=float("nan")),
    "best step elsewhere": _state(best_step=10**18),
    "best step of text": _state(best_step="../../x"),
    "waited a list": _state(waited=[1]),
    "results a list": _text("results.json", "[]"),
    "results null": _text("results.json", "null"),
    "results numbers": _text("results.json", '{"data": 3, "metrics": 4, "status": []}'),
    "results names": _text("results.json", '{"data": {"classes": [1, {}], "digests": 7}}'),
    "results deep": _text("results.json", '{"a":' * 5000),
    "results digits": _text("results.json", '{"seconds": ' + "9" * 5000 + "}"),
    "metrics odd": _text("metrics.jsonl", '[]\nnull\n3\n"x"\n{"step": "x"}\n{}\n'),
    "config object": _yaml("x: !!python/object/apply:os.system [touch /tmp/thesis-of-attack.ran]"),
    "config int of text": _yaml("seed: !!int x"),
    "config time": _yaml("seed: 2001-01-01 00:00:00"),
    "config digits": _yaml("seed: " + "9" * 5000),
    "config brackets": _yaml("seed: " + "[" * 5000),
    "config bomb": _yaml(BOMB),
    "config null byte": _text("config.yaml", "\0"),
    "config a list": _text("config.yaml", "[]"),
    "config long text": _yaml("run_dir: " + "x" * 1_000_000),
    "arrays of objects": _pickled,
    "arrays without end": _huge_archive,
    "weights of 4 GiB": _weights(_declare_much),
    "weights linked": _weights(_link_outside),
    "weights stored elsewhere": _weights(_store_outside),
    "weights missing": _weights(lambda file, name: file.__delitem__(name)),
    "digests a list": _text("newest/digests.json", "[]"),
}


def attack(report: Report, folder: Path, chance: random.Random, trials: int) -> None:
    """Damages a run's files one at a time, then evaluates, resumes or predicts with it."""
    whole = folder / "whole"
    words = [*TRAINING, "run_dir=whole", "trainer.steps=6", "trainer.keep=2"]
    if not report.judge("undisturbed run", invoke("src.train", words, folder), {0}):
        return
    picture = folder / "digit.png"
    from PIL import Image

    Image.new("L", (28, 28)).save(picture)
    files = sorted(p.relative_to(whole) for p in whole.rglob("*") if p.is_file())
    damages = [(f"{path} {name}", path, name) for path in files for name in DAMAGES]
    chance.shuffle(damages)
    cases: list[tuple[str, Callable[[Path], object]]] = list(FORGERIES.items())
    for what, path, name in damages[: max(0, trials - len(cases))]:
        cases.append((what, _damaged(path, name, chance)))
    for what, damage in cases[:trials] if trials < len(cases) else cases:
        _try(report, folder, what, damage, chance)


def _damaged(path: Path, name: str, chance: random.Random) -> Callable[[Path], object]:
    return lambda run: DAMAGES[name](run / path, chance)


def _try(
    report: Report,
    folder: Path,
    what: str,
    damage: Callable[[Path], object],
    chance: random.Random,
) -> None:
    thesis = Path("/tmp/thesis-of-attack")
    thesis.write_text(THESIS)
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(folder / "whole", run)
    before = {p.name for p in (run / "checkpoints").glob("step-*")}
    damage(run)
    commands = {
        "resume": ("src.train", ["resume=run", f"trainer.steps={chance.choice([6, 9])}"]),
        "eval": ("src.eval", ["run=run"]),
        "predict": ("src.predict", ["run=run", "input=digit.png", "overwrite=true"]),
    }
    name = chance.choice(["resume", "resume", "eval", "predict"])
    outcome = invoke(commands[name][0], commands[name][1], folder)
    report.judge(f"{what}, {name}", outcome)
    report.expect(thesis.read_text() == THESIS, f"{what}, {name}: wrote outside of the run")
    ran = Path("/tmp/thesis-of-attack.ran")
    report.expect(not ran.exists(), f"{what}, {name}: ran code")
    ran.unlink(missing_ok=True)
    after = {p.name for p in (run / "checkpoints").glob("step-*")}
    newest = max(before)
    kept = after & before or any(step > newest for step in after)
    report.expect(bool(kept), f"{what}, {name}: no checkpoint of {sorted(before)} is left")
    report.count()


def _newest(run: Path) -> Path:
    return max((run / "checkpoints").glob("step-*"))


def _sign(run: Path) -> None:
    """Makes the digests of the newest checkpoint those of its files: a forger can do that."""
    newest = _newest(run)
    if json.loads((newest / "digests.json").read_text() or "[]") == []:
        return
    parts = ("model.weights.h5", "training.npz", "state.json")
    digests = {part: hashlib.sha256((newest / part).read_bytes()).hexdigest() for part in parts}
    (newest / "digests.json").write_text(json.dumps(digests))
