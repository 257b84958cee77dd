"""Downloads against a server on this machine that answers, refuses, hangs, resets or dawdles."""

import gzip
import hashlib
import http.server
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from src.data import download, prepared
from src.data.download import DownloadError, fetch
from tests import idx_files

STALL = 0.6


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by name, and the behaviours that `Handler` knows by name."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.over = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        self.server.requests.append(name)
        if name == "silent":
            self.server.over.wait()
            return
        if name not in self.server.files and name not in ("stops", "resets", "dawdles"):
            self.send_error(503)
            return
        body = self.server.files.get(name, b"x" * 12288)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        match name:
            case "stops":
                self.wfile.write(body[:5000])
                self.server.over.wait()
            case "resets":
                self.wfile.write(body[:5000])
                self.wfile.flush()
                # A zero linger time makes closing the socket a reset.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.shutdown(socket.SHUT_RD)
            case "dawdles":
                for start in range(0, len(body), 2048):
                    self.wfile.write(body[start : start + 2048])
                    time.sleep(STALL / 2)
            case _:
                self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_arrive_under_their_own_names(server, tmp_path, capfd):
    server.files = {"a.gz": b"alpha", "b.gz": bytes(100_000)}
    fetch([server.url("a.gz"), server.url("b.gz")], tmp_path)
    assert (tmp_path / "a.gz").read_bytes() == b"alpha"
    assert (tmp_path / "b.gz").read_bytes() == bytes(100_000)
    assert capfd.readouterr() == ("", "downloading 2 files from 127.0.0.1\n")


def test_slow_but_steady_is_not_given_up(server, tmp_path):
    start = time.monotonic()
    fetch([server.url("dawdles")], tmp_path, stall=STALL)
    assert time.monotonic() - start > 2 * STALL
    assert (tmp_path / "dawdles").stat().st_size == 12288


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("silent", r"nothing arrived from 127\.0\.0\.1 for 0\.6 s"),
        ("stops", r"nothing arrived from 127\.0\.0\.1 for 0\.6 s"),
        ("resets", "ConnectionError|ChunkedEncodingError"),
        ("refused", "HTTP status 503"),
    ],
)
def test_a_server_that_fails_is_given_up_in_time_and_asked_once(
    server, tmp_path, capfd, name, line
):
    start = time.monotonic()
    with pytest.raises(DownloadError, match=line) as caught:
        fetch([server.url(name), server.url("next")], tmp_path, stall=STALL)
    assert time.monotonic() - start < STALL + 1
    assert server.requests == [name]
    assert capfd.readouterr().err.count("\n") == (name in ("stops", "resets"))
    assert "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 100


def test_nobody_listens(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1: ConnectionError"):
        fetch([f"http://127.0.0.1:{port}/a"], tmp_path, stall=STALL)


def test_a_name_server_that_does_not_answer(monkeypatch, tmp_path):
    over = threading.Event()

    def hang(*args, **kwargs):
        over.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    try:
        with pytest.raises(DownloadError, match=r"nothing arrived from data\.invalid for 0\.6 s"):
            fetch(["http://data.invalid/a"], tmp_path, stall=STALL)
    finally:
        over.set()
    assert time.monotonic() - start < STALL + 1


def test_the_default_leaves_room_within_fifteen_seconds():
    assert download.STALL_SECONDS <= 10


def publish(monkeypatch, server: Server, builder: type, seed: int) -> dict[str, np.ndarray]:
    """Lets a TFDS builder find 12 + 10 examples at the server; returns the images."""
    checksums = pytest.importorskip("tensorflow_datasets.core.download.checksums")
    infos, held = {}, {}
    for split, count in (("train", 12), ("test", 10)):
        images, labels = idx_files.digits(count, seed)
        held[split] = images
        for kind, data in (
            ("images", idx_files.image_bytes(images)),
            ("labels", idx_files.label_bytes(labels)),
        ):
            name = f"{idx_files.NAMES[split, kind]}.gz"
            body = gzip.compress(data)
            server.files[name] = body
            infos[server.url(name)] = checksums.UrlInfo(
                size=len(body), checksum=hashlib.sha256(body).hexdigest(), filename=name
            )
    monkeypatch.setattr(builder, "URL", server.url(""))
    monkeypatch.setattr(builder, "url_infos", infos)
    return held


@pytest.fixture
def mnist_module(monkeypatch):
    module = pytest.importorskip("tensorflow_datasets.image_classification.mnist")
    monkeypatch.setattr(module, "_TRAIN_EXAMPLES", 12)
    monkeypatch.setattr(module, "_TEST_EXAMPLES", 10)
    return module


def test_tfds_prepares_what_was_fetched(monkeypatch, server, tmp_path, mnist_module):
    root = tmp_path / "new" / "folder"
    # Two data sets whose files have the same names: neither may be taken for the other.
    for name, builder in (("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")):
        held = publish(monkeypatch, server, getattr(mnist_module, builder), seed=len(name))
        folder = download.prepare(name, root)
        assert folder == root / name / "3.0.1"
        assert server.requests == sorted(server.files), "TFDS may not fetch a file itself"
        server.requests.clear()
        splits = prepared.read(folder, 2048)
        for split, images in held.items():
            order = [image.tobytes() for image in images]
            read = [order.index(image.tobytes()) for image in splits[split].images]
            assert sorted(read) == list(range(len(order)))
            assert splits[split].targets.tolist() == [i % 10 for i in read]
    assert sorted(path.name for path in root.iterdir()) == ["fashion_mnist", "mnist"]


def test_files_other_than_tfds_knows_are_refused(monkeypatch, server, tmp_path, mnist_module):
    publish(monkeypatch, server, mnist_module.MNIST, seed=1)
    server.files["t10k-labels-idx1-ubyte.gz"] = b"<html>please log in</html>"
    with pytest.raises(DownloadError, match="NonMatchingChecksumError") as caught:
        download.prepare("mnist", tmp_path)
    assert "\n" not in str(caught.value)
    assert prepared.find(tmp_path, "mnist") is None


def test_a_folder_that_cannot_be_written_is_not_downloaded_for(monkeypatch, tmp_path):
    monkeypatch.setattr(download.os, "access", lambda path, mode: False)
    monkeypatch.setattr(download, "fetch", lambda *args: pytest.fail("fetched"))
    with pytest.raises(DownloadError, match=f"{tmp_path} cannot be written"):
        download.prepare("mnist", Path(tmp_path) / "a" / "b")
