"""How float32 products are computed, and settings of PyTorch's that every result here obeys already."""

from __future__ import annotations

from . import backend


def get_float32_matmul_precision() -> str:
    """The precision that `set_float32_matmul_precision` chose; "highest" unless it was called."""
    return backend.float32_matmul_precision()


def set_float32_matmul_precision(precision: str) -> None:
    """Say how float32 products and convolutions may be computed: "highest", "high" or "medium".

    Only large products on the instruction set "amx" take notice (`tinydl info` tells from which size on). There an
    operand is split into bfloat16 parts, x = x0 + x1 + x2, and products of parts are summed in float32: "highest", the
    default, sums the six largest and is as accurate as a loop of float32 multiply-adds (error about 1e-7 |A||B|, less
    over long sums); "high" sums x0 y0, x0 y1 and x1 y0 (about 1e-6); "medium" x0 y0 alone (about 1e-3). Where a part
    would leave float32's range, the call multiplies in float32 instead.

    Source: Henry, Tang, Heinecke, arXiv 1904.06376. ValueError for another word.

    >>> import tinydl
    >>> tinydl.set_float32_matmul_precision("high")
    >>> tinydl.get_float32_matmul_precision()
    'high'
    >>> tinydl.set_float32_matmul_precision("highest")
    """
    if not isinstance(precision, str):
        raise TypeError(f"set_float32_matmul_precision: got {type(precision).__name__}, wanted a string")
    backend.set_float32_matmul_precision(precision)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for results that are the same from run to run, as they always are, whatever `mode` says."""


def are_deterministic_algorithms_enabled() -> bool:
    """True."""
    return True
