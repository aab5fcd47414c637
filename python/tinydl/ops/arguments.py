"""Arguments that several families and layers take."""

from __future__ import annotations

import operator
from typing import Any


def sizes(owner: str, name: str, value: Any, count: int = 2, least: int | None = None) -> tuple[int, ...]:
    """`count` integers, one for each spatial axis, from that many or from one that stands for all.

    TypeError where they are not integers; ValueError for another number of them, or one below `least`.
    """
    bound = "" if least is None else f", at least {least}"
    wanted = f"{owner}: got {name}={value!r}, wanted one integer or {count}{bound}"
    try:
        found = tuple(operator.index(n) for n in value) if isinstance(value, tuple | list) else (operator.index(value),)
    except TypeError:
        raise TypeError(wanted) from None
    if len(found) not in (1, count) or (least is not None and min(found) < least):
        raise ValueError(wanted)
    return found if len(found) == count else found * count
