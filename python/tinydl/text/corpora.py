"""Texts to learn from: one that comes with Python, one by its name, and any file."""

from __future__ import annotations

import os
from pathlib import Path

from ..utils.download import data_folder, download

__all__ = ["python_reference", "read_text", "shakespeare"]

_FILE, _FOLDER = "input.txt", "shakespeare"
MIRRORS: tuple[str, ...] = ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",)
CHECKSUM = "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def python_reference() -> str:
    """The chapters of Python's language reference that `help()` shows, each paragraph once: some 385 000 characters.

    They come with the interpreter, so that the text differs a little between Python's versions.

    Raises ImportError where the interpreter was installed without them.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise ImportError(
            "this Python was installed without its reference (pydoc_data.topics), the default text; "
            "name 'shakespeare' or a text file instead"
        ) from None
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    return "\n\n".join(dict.fromkeys(paragraphs))


def shakespeare(fetch: bool = False) -> str:
    """Tiny shakespeare, 1 115 394 characters of Shakespeare's plays that Karpathy (2015) put together.

    The file is `shakespeare/input.txt` in `$TINYDL_DATA` where that variable is set, else in `tinydl` in the user's
    cache folder.

    Args:
        fetch: download the file if it is missing, checked against its checksum.

    Raises:
        FileNotFoundError: the file is missing. OSError: the download failed. ValueError: it holds no text.
    """
    folder = data_folder(_FOLDER)
    path = folder / _FILE
    if not path.is_file():
        if not fetch:
            raise FileNotFoundError(
                f"shakespeare: {path} is missing. Pass fetch=True, or get it from {MIRRORS[0]}{_FILE}, or set "
                f"TINYDL_DATA to the folder above a folder '{_FOLDER}' with it"
            )
        path = download(_FILE, MIRRORS, folder, CHECKSUM)
    return _read(path)


def read_text(source: str | os.PathLike[str]) -> str:
    """The text of a name, "python" or "shakespeare" (downloaded where it is missing), or of a file in UTF-8.

    Ends of lines become "\\n", whatever they are in the file.

    Raises:
        ValueError: there is neither such a name nor such a file, or the file is empty or not UTF-8.
        OSError: the file cannot be read, or the download failed.
    """
    if source == "python":
        return python_reference()
    if source == "shakespeare":
        return shakespeare(fetch=True)
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"data {os.fspath(source)!r} is neither python nor shakespeare nor a text file")
    return _read(path)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not a text in UTF-8: byte 0x{error.object[error.start]:02x} at {error.start} ({error.reason})"
        ) from None
    if not text:
        raise ValueError(f"{path}: the file is empty")
    return text
