"""Initial values of weights, by name or as objects; drawn from `tinydl.random`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..nn import init
from ..tensor import Tensor
from .lookup import find, supported


class Initializer:
    """Fills a weight of `nn` in place."""

    fill: ClassVar[Callable[..., Tensor]]

    def __init__(self, seed: int | None = None) -> None:
        supported(type(self).__name__, {"seed": seed})

    def __call__(self, tensor: Tensor) -> Tensor:
        """Fill `tensor`, whose shape begins with (out, in), and return it."""
        return self.fill(tensor)


class Zeros(Initializer):
    """Every element 0."""

    fill = staticmethod(init.zeros_)


class Ones(Initializer):
    """Every element 1."""

    fill = staticmethod(init.ones_)


class GlorotUniform(Initializer):
    """Uniform in ±√(6/(fan_in + fan_out)) (Glorot and Bengio 2010)."""

    fill = staticmethod(init.xavier_uniform_)


class HeUniform(Initializer):
    """Uniform in ±√(6/fan_in) (He et al. 2015)."""

    fill = staticmethod(init.kaiming_uniform_)


KNOWN: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "glorot_uniform": GlorotUniform,
    "he_uniform": HeUniform,
}


def get(identifier: Any) -> Callable[[Tensor], Tensor]:
    """The initialiser of a name; an object is returned as it is."""
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    return find("initializer", identifier, KNOWN)()  # type: ignore[no-any-return]
