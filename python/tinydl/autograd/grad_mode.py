"""Whether operations are recorded, in each thread for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


class _GradMode(threading.local):
    enabled = True


state = _GradMode()


def is_grad_enabled() -> bool:
    """Whether this thread records operations."""
    return state.enabled


class _SetGrad:
    """A context manager and decorator that switches recording in this thread."""

    enabled: bool

    def __enter__(self) -> None:
        self._before = state.enabled
        state.enabled = self.enabled

    def __exit__(self, *_: object) -> None:
        state.enabled = self._before

    def __call__(self, function: _F) -> _F:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(_SetGrad):
    """Record nothing within the block or the decorated function.

    >>> import tinydl
    >>> x = tinydl.ones(2, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """

    enabled = False


class enable_grad(_SetGrad):
    """Record again, within a `no_grad` block."""

    enabled = True


class set_grad_enabled:
    """Record, or not, from now on; as a context manager until its end.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        self._before = state.enabled
        state.enabled = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        state.enabled = self._before
