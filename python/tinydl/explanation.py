"""Which implementation computes a call, and why a better one does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import backend


def explain(op: Callable[..., Any] | str, *args: Any, **options: Any) -> str:
    """Say which implementation computes `op(*args, **options)`, and why better ones were refused.

    The call is made, and what its kernels report is returned: a line for the instruction set and the threads, and one
    for each matrix product or convolution (one for a whole batch of products that are too small to be packed). `op` is
    a function, a layer, or the name of a function of tinydl or of tinydl.nn.functional. What the call raises is raised;
    ValueError for an unknown name.

    >>> import tinydl
    >>> print(tinydl.explain("matmul", tinydl.ones(8, 8), tinydl.ones(8, 8)))  # doctest: +ELLIPSIS
    instruction set ..., ... threads at most
    product of (8, 8) and (8, 8): fused multiply-adds; too small to be packed or split
    """
    function = _named(op) if isinstance(op, str) else op
    backend.start_trace()
    try:
        function(*args, **options)
    finally:
        notes = backend.stop_trace()
    return f"instruction set {backend.isa()}, {backend.num_threads()} threads at most\n{notes}".rstrip()


def _named(name: str) -> Callable[..., Any]:
    import tinydl
    from tinydl.nn import functional

    for module in (tinydl, functional):
        function = getattr(module, name, None)
        if callable(function):
            return function  # type: ignore[no-any-return]
    raise ValueError(f"explain: tinydl and tinydl.nn.functional have no function '{name}'")
