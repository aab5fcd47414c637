"""The names of devices: where the elements of a tensor live."""

from __future__ import annotations

_KINDS = ("cpu", "cuda", "cuda-emulated", "mps", "xpu", "meta")


class device(str):
    """A device's name: "cpu", "cuda", "cuda:1"; or that of one which is missing, which fails only where it is used.

    It equals the plain string, so that `tensor.device == "cpu"` holds.

    >>> device("cuda:1").type, device("cuda", 1).index
    ('cuda', 1)
    >>> device("cpu") == "cpu"
    True
    """

    def __new__(cls, type: str, index: int | None = None) -> device:
        """The device of a kind's name, with its number in the name or apart."""
        if not isinstance(type, str):
            raise TypeError(f"device: got {type.__class__.__name__}, wanted a name such as 'cpu'")
        kind, _, number = type.partition(":")
        if kind not in _KINDS or (":" in type and not number.isdecimal()):
            raise ValueError(f"device: got {type!r}, wanted a name such as 'cpu' or 'cuda:0'")
        if number and index is not None:
            raise ValueError(f"device: got {type!r} and the index {index}, wanted one index")
        if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
            raise ValueError(f"device: got the index {index!r}, wanted a whole number from 0")
        return super().__new__(cls, type if index is None else f"{type}:{index}")

    @property
    def type(self) -> str:
        """The kind of device."""
        return str(self).partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """Which of the devices of its kind, where the name says."""
        number = str(self).partition(":")[2]
        return int(number) if number else None

    def __str__(self) -> str:
        return "".join(self)

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")


CPU = device("cpu")
