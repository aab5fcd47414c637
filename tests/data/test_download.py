"""Downloads from a server on this machine: whole, damaged, missing, cut short."""

import contextlib
import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tinydl.keras.datasets import fashion_mnist
from tinydl.keras.utils import get_file
from tinydl.utils.download import data_folder, download
from tinydl.vision.datasets import MNIST, FashionMNIST

from .test_mnist import IMAGES, LABELS, write

CONTENT = bytes(range(256)) * 4096  # 1 MiB
CHECKSUM = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server():
    """A server of files, {path: bytes}; it closes the connection half-way through those in `cut`."""
    pytest.importorskip("pooch", reason="pooch is not installed (extra: data)")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            files.requests.append(self.path)
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            content = content or b""
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if self.path in files.cut else content)

        def log_message(self, *_):
            pass

    class Files(dict):
        requests: list[str]

    files = Files()
    files.requests, files.cut = [], set()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    files.address = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield files
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_file_is_fetched_once(server, tmp_path, capfd):
    server["/a.bin"] = CONTENT
    folder = tmp_path / "not" / "yet"
    for _ in range(2):
        path = download("a.bin", [server.address], folder, CHECKSUM)
        assert path == folder / "a.bin"
        assert path.read_bytes() == CONTENT
    assert server.requests == ["/a.bin"]
    assert "100%" in capfd.readouterr().err  # the progress bar


def test_the_next_mirror(server, tmp_path):
    server["/damaged/a.bin"] = CONTENT[:-1] + b"x"
    server["/cut/a.bin"] = CONTENT
    server.cut.add("/cut/a.bin")
    server["/whole/a.bin"] = CONTENT
    mirrors = [f"{server.address}/{part}/" for part in ("missing", "damaged", "cut", "whole")]
    assert download("a.bin", mirrors, tmp_path, CHECKSUM).read_bytes() == CONTENT
    assert server.requests == ["/missing/a.bin", "/damaged/a.bin", "/cut/a.bin", "/whole/a.bin"]


def test_no_mirror(server, tmp_path):
    server["/damaged/a.bin"] = CONTENT[:-1] + b"x"
    server["/cut/a.bin"] = CONTENT
    server.cut.add("/cut/a.bin")
    mirrors = [f"{server.address}/{part}" for part in ("missing", "damaged", "cut")] + ["http://127.0.0.1:1"]
    with pytest.raises(OSError, match="no mirror gave") as caught:
        download("a.bin", mirrors, tmp_path, CHECKSUM)
    lines = str(caught.value).split("\n")[1:]
    assert "/missing/a.bin: 404" in lines[0]
    assert "/damaged/a.bin: its checksum is wrong" in lines[1]
    assert "http://127.0.0.1:1/a.bin: " in lines[3]
    assert list(tmp_path.iterdir()) == []  # nothing half there


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    server["/a.bin"] = CONTENT
    (tmp_path / "a.bin").write_bytes(CONTENT[:1000])
    assert download("a.bin", [server.address], tmp_path, CHECKSUM).read_bytes() == CONTENT


def serve(server, monkeypatch, folder, dataset):
    """Small files of a data set on the server, under its own names."""
    folder.mkdir()
    write(folder, train=True)
    write(folder, images=255 - IMAGES, train=False)
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    server |= {f"/{name}": content for name, content in contents.items()}
    checksums = {name: "md5:" + hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(dataset, "mirrors", (server.address,))
    monkeypatch.setattr(dataset, "checksums", checksums)


@pytest.mark.parametrize("dataset", [MNIST, FashionMNIST])
def test_a_data_set(server, tmp_path, monkeypatch, dataset):
    serve(server, monkeypatch, tmp_path / "there", dataset)
    monkeypatch.setenv("TINYDL_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"{dataset.__name__}: found neither .* Pass download=True"):
        dataset()
    data = dataset(download=True)
    assert np.array_equal(data.images, IMAGES)
    assert data.labels.tolist() == LABELS.tolist()
    assert len(dataset.classes) == 10
    assert len(server.requests) == 2  # those of the training set
    assert sorted(p.name for p in data_folder(dataset.folder).iterdir()) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert len(dataset()) == 3


def test_keras_arrays(server, tmp_path, monkeypatch):
    serve(server, monkeypatch, tmp_path / "there", FashionMNIST)
    (x, y), (x_test, y_test) = fashion_mnist.load_data(tmp_path / "here")
    assert x.dtype == y.dtype == y_test.dtype == np.uint8
    assert np.array_equal(x_test, 255 - x)
    assert len(server.requests) == 4


def test_a_missing_library(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(ImportError, match=r"this needs pooch, .* pip install 'tinydl\[data\]'"):
        MNIST(tmp_path, download=True)


# -- keras.utils.get_file ---------------------------------------------------------------------------------------


def test_get_file(server, tmp_path, monkeypatch):
    server["/deep/a.bin"] = CONTENT
    origin = f"{server.address}/deep/a.bin"
    monkeypatch.setenv("TINYDL_DATA", str(tmp_path))
    for _ in range(2):
        assert get_file(origin=origin) == str(tmp_path / "datasets" / "a.bin")
    assert server.requests == ["/deep/a.bin"]
    md5, sha256 = (hashlib.new(name, CONTENT).hexdigest() for name in ("md5", "sha256"))
    there = {"cache_dir": tmp_path, "cache_subdir": "mine"}
    for options in ({"md5_hash": md5}, {"file_hash": md5}, {"file_hash": sha256, "hash_algorithm": "sha256"}):
        path = get_file("b.bin", origin, **options, **there)
        assert path == str(tmp_path / "mine" / "b.bin")
    assert len(server.requests) == 2
    (tmp_path / "mine" / "b.bin").write_bytes(b"damaged")
    assert Path(get_file("b.bin", origin, file_hash=sha256, **there)).read_bytes() == CONTENT
    get_file("b.bin", origin, force_download=True, **there)
    assert len(server.requests) == 4
    with pytest.raises(OSError, match="its checksum is wrong"):
        get_file("b.bin", origin, file_hash="0" * 64, **there)
    assert (tmp_path / "mine" / "b.bin").read_bytes() == CONTENT  # what was there stays
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["b.bin"]


def archive(kind, names):
    """An archive of files with some names, each holding its name."""
    memory = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(memory, "w") as file:
            for name in names:
                file.writestr(name, name)
    else:
        with tarfile.open(fileobj=memory, mode="w:gz") as file:
            for name in names:
                entry = tarfile.TarInfo(name)
                entry.size = len(name)
                file.addfile(entry, io.BytesIO(name.encode()))
    return memory.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_get_file_unpacks_archives(server, tmp_path, kind):
    server[f"/a.{kind}"] = archive(kind, ["x/1.txt", "2.txt"])
    server[f"/evil.{kind}"] = archive(kind, ["../../evil.txt"])
    options = {"cache_dir": tmp_path, "extract": True}
    folder = get_file(origin=f"{server.address}/a.{kind}", **options)
    assert folder == str(tmp_path / "datasets" / f"a.{kind}_extracted")
    assert (tmp_path / "datasets" / f"a.{kind}_extracted" / "x" / "1.txt").read_text() == "x/1.txt"
    with contextlib.suppress(tarfile.TarError):
        get_file(origin=f"{server.address}/evil.{kind}", **options)
    assert not list(tmp_path.parent.rglob("evil.txt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "origin is missing"),
        ({"origin": "http://127.0.0.1:1/"}, "got fname='', wanted a name without folders"),
        ({"fname": "../a", "origin": "http://127.0.0.1:1/a"}, "wanted a name without folders"),
        ({"origin": "http://127.0.0.1:1/a", "file_hash": "0", "hash_algorithm": "crc"}, "got hash_algorithm='crc'"),
    ],
)
def test_get_file_errors(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        get_file(**options, cache_dir=tmp_path)
