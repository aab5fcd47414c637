"""Settings of PyTorch's that every result here obeys already."""

from __future__ import annotations

_PRECISIONS = ("highest", "high", "medium")
_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 to be rounded to "high" or "medium" precision; they always have the "highest".

    >>> import tinydl
    >>> tinydl.set_float32_matmul_precision("high")
    """
    global _precision
    if precision not in _PRECISIONS:
        raise ValueError(f"set_float32_matmul_precision: got {precision!r}, wanted one of {_PRECISIONS}")
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` allowed: by default "highest"."""
    return _precision


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for results that are the same from run to run, as they always are, whatever `mode` says."""


def are_deterministic_algorithms_enabled() -> bool:
    """True."""
    return True
