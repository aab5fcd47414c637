"""Texts: the one that Python ships, files, and the download."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from tests.data.test_download import server
from tinydl.text import corpora, python_reference, read_text, shakespeare

REAL = Path(os.environ.get("TINYDL_DATA", "/nonexistent")) / "shakespeare"

__all__ = ["server"]


def test_the_reference_of_python():
    text = read_text("python")
    assert text == python_reference()
    assert len(text) > 300_000
    assert "An assignment statement evaluates the expression list" in text
    paragraphs = text.split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs)


def test_a_python_without_its_reference(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ImportError, match=r"without its reference .*name 'shakespeare' or a text file instead"):
        python_reference()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a", "a"),
        (b"one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        ("\ufeffÜber 漢字 🤖".encode(), "Über 漢字 🤖"),
        (b"x" * 1_000_000, "x" * 1_000_000),
    ],
)
def test_files(tmp_path, content, text):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_text(path) == read_text(str(path)) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.txt: the file is empty"),
        (b"abc\xff", "a.txt: not a text in UTF-8: byte 0xff at 3"),
        ("Ü".encode("latin-1"), "a.txt: not a text in UTF-8: byte 0xdc at 0"),
    ],
)
def test_files_without_text(tmp_path, content, message):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_text(path)


def test_no_such_file(tmp_path):
    for source in (tmp_path, tmp_path / "none.txt", "shakespere"):
        with pytest.raises(ValueError, match="is neither python nor shakespeare nor a text file"):
            read_text(source)


def test_shakespeare_is_fetched_once(server, tmp_path, monkeypatch):
    content = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"
    monkeypatch.setenv("TINYDL_DATA", str(tmp_path))
    monkeypatch.setattr(corpora, "MIRRORS", (server.address,))
    monkeypatch.setattr(corpora, "CHECKSUM", "sha256:" + hashlib.sha256(content).hexdigest())
    with pytest.raises(FileNotFoundError, match=r"input\.txt is missing. Pass fetch=True.* TINYDL_DATA"):
        shakespeare()
    server["/input.txt"] = content + b"damaged"
    with pytest.raises(OSError, match="its checksum is wrong"):
        read_text("shakespeare")
    server["/input.txt"] = content
    for _ in range(2):
        assert read_text("shakespeare") == content.decode()
    assert server.requests == ["/input.txt"] * 2
    assert shakespeare() == content.decode()


@pytest.mark.skipif(not REAL.is_dir(), reason="no shakespeare under TINYDL_DATA")
def test_the_real_shakespeare():
    text = shakespeare()
    assert len(text) == 1_115_394
    assert len(set(text)) == 65
    assert "sha256:" + hashlib.sha256(text.encode()).hexdigest() == corpora.CHECKSUM
