"""Things that have names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def find(kind: str, name: Any, known: Mapping[str, Any]) -> Any:
    """known[name]; ValueError that lists the known names where there is no such."""
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"Unknown {kind}: {name!r}. Known: {', '.join(sorted(known))}")
    return known[name]


def supported(owner: str, options: Mapping[str, Any]) -> None:
    """Refuse Keras's options that are not available, unless they are None or False."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if given:
        raise ValueError(f"{owner}: not available: {', '.join(f'{k}={v!r}' for k, v in given.items())}")
