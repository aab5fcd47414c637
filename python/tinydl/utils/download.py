"""Files from the internet: verified, with a progress bar, and never half there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .extras import require

TIMEOUT = 30  # seconds without an answer after which the next mirror is tried


def data_folder(name: str) -> Path:
    """Where a data set's files are kept: `$TINYDL_DATA/name`, else `tinydl/name` in the user's cache folder.

    The cache folder is `$XDG_CACHE_HOME` or `~/.cache`.
    """
    data = os.environ.get("TINYDL_DATA")
    if data:
        return Path(data) / name
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "tinydl" / name


def download(name: str, mirrors: Sequence[str], folder: str | os.PathLike[str], checksum: str | None) -> Path:
    """The path of a file in `folder`, fetched from the first of the mirrors that gives it whole.

    A file that is there with the right checksum is not fetched again. The download goes to a temporary file that
    takes the name only when its checksum is right: what is interrupted leaves nothing behind.

    Args:
        name: the file's name, below each mirror and in `folder`.
        mirrors: addresses of folders, tried in turn.
        folder: made if it is missing.
        checksum: "md5:..." or "sha256:..."; None to verify nothing.

    Raises:
        ImportError: pooch is missing; it comes with the extra `data`.
        OSError: no mirror gave the file; the message says what each answered.
    """
    pooch = require("pooch", extra="data")
    pooch.get_logger().setLevel("WARNING")
    fetch = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    answers = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        try:
            return Path(pooch.retrieve(url, checksum, name, folder, downloader=fetch))
        except (OSError, ValueError) as error:  # no answer, or another checksum
            answers.append(f"{url}: {_brief(error)}")
    raise OSError(f"download: no mirror gave {name}:\n  " + "\n  ".join(answers))


def _brief(error: Exception) -> str:
    text = str(error).split("\n")[0]
    return "its checksum is wrong" if "hash" in text else text[:200]
