"""Whether operations are recorded: a switch that each thread has of its own."""

from __future__ import annotations

import copy
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

    def _again(self) -> _SetGrad:
        """A fresh one for each call of the decorated function."""
        return copy.copy(self)

    def __enter__(self) -> None:
        self._before = state.enabled
        state.enabled = self.enabled

    def __exit__(self, *_: object) -> None:
        state.enabled = self._before

    def __call__(self, function: _F) -> _F:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class _Bare(_SetGrad):
    """One that also decorates without parentheses."""

    def __new__(cls, orig_func: Any = None) -> Any:
        return object.__new__(cls) if orig_func is None else cls()(orig_func)


class no_grad(_Bare):
    """Record nothing within the block or the decorated function.

    >>> import tinydl
    >>> x = tinydl.ones(2, requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """

    enabled = False


class enable_grad(_Bare):
    """Record again, within a `no_grad` block."""

    enabled = True


class inference_mode(_SetGrad):
    """`no_grad` under another name; inference_mode(False) changes nothing."""

    def __new__(cls, mode: Any = True) -> Any:
        """Itself, or what a decorator without parentheses gives back."""
        return cls()(mode) if callable(mode) else object.__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        self.enabled = state.enabled and not mode


class set_grad_enabled(_SetGrad):
    """Switch recording in this thread, at once; as a context manager, until the end of the block.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    >>> is_grad_enabled()
    True
    """

    def __init__(self, mode: bool) -> None:
        self._before = state.enabled
        self.enabled = state.enabled = bool(mode)

    def __enter__(self) -> None:
        state.enabled = self.enabled
