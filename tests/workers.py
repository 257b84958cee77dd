"""Starts the workers of a cluster as processes on this machine."""

import json
import os
import socket
from contextlib import ExitStack

from tests.commands import start


def addresses(count):
    """Addresses of this machine that nobody listens to."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return ["{}:{}".format(*each.getsockname()) for each in sockets]


def start_workers(count, words, folder):
    """Starts `python -m src.train words` as each of several workers."""
    chief, *others = addresses(count)
    # Three by the other of the two ways in which TF_CONFIG names a chief.
    cluster = {"chief": [chief], "worker": others} if count > 2 else {"worker": [chief, *others]}
    tasks = [{"type": job, "index": i} for job, those in cluster.items() for i in range(len(those))]
    processes = []
    for task in tasks:
        described = {"cluster": cluster, "task": task}
        processes.append(start("src.train", words, folder, tf_config=json.dumps(described)))
    return processes


def ended(processes, seconds=300):
    """The status and what was printed of each process, once all of them have ended."""
    found = [process.communicate(timeout=seconds) for process in processes]
    return [(p.returncode, out, err) for p, (out, err) in zip(processes, found, strict=True)]


def described(monkeypatch, value=None, **variables):
    """Has the environment describe a cluster by TF_CONFIG, or by other variables."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TF_CONFIG"))]:
        monkeypatch.delenv(name)
    if value is not None:
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv("TF_CONFIG", text)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
