"""Libraries that only some functions need."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, extra: str) -> Any:
    """The module, imported now; ImportError that names the extra to install where it is missing.

    >>> require("math", extra="data").pi > 3
    True
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # the library is there, and lacks something itself
        raise ImportError(
            f"this needs {module.split('.')[0]}, which is not installed: pip install 'tinydl[{extra}]'", name=error.name
        ) from None
