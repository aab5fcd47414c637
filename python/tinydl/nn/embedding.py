"""Tables of vectors, one for each token or category."""

from __future__ import annotations

from typing import Any

from .. import backend, dtypes
from ..autograd import no_grad
from ..ops import embedding as ops
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class _Table(Module):
    """What the layers with a table share."""

    weight: Parameter
    padding_idx: int | None

    def _set_up(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Tensor | None,
        frozen: bool,
        device: str | None,
        dtype: Any,
    ) -> None:
        name = type(self).__name__
        if sparse:
            raise ValueError(f"{name}: sparse gradients are not available; leave out `sparse`")
        if num_embeddings < 0 or embedding_dim < 0:
            raise ValueError(f"{name}: got num_embeddings={num_embeddings} and embedding_dim={embedding_dim}")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"{name}: got padding_idx={padding_idx} for {num_embeddings} embeddings")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = False
        if weight is not None:
            if weight.shape != (num_embeddings, embedding_dim):
                raise ValueError(
                    f"{name}: got a weight of shape {weight.shape}, wanted {num_embeddings, embedding_dim}"
                )
            self.weight = Parameter(weight if device is None else weight.to(device), not frozen)
            return
        table = backend.empty_on((num_embeddings, embedding_dim), dtype or dtypes.float32, device)
        self.weight = Parameter(table, not frozen)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew; the padding's row becomes zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def _repr(self, before: str = "", after: str = "") -> str:
        """The sizes, and what differs from the defaults."""
        out = f"{self.num_embeddings}, {self.embedding_dim}{before}"
        if self.max_norm is not None:
            out += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            out += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            out += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return out + after

    def _padding_repr(self) -> str:
        return "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"


class Embedding(_Table):
    """y[p] = weight[input[p]]: indices of any shape to (*shape, embedding_dim).

    Args:
        num_embeddings: the number of rows.
        embedding_dim: their size.
        padding_idx: a row that is zero at first and gets no gradient.
        max_norm: rows that are used and whose norm is larger are scaled to it, in place, in each forward pass.
        norm_type: p of that p-norm.
        scale_grad_by_freq: divide a row's gradient by how often the row was used in the call.
        sparse: not available.
        device: where the parameters lie; by default on the CPU.
        dtype: of the table, float32 or float64.

    Attributes:
        weight: (num_embeddings, embedding_dim), at first normal with mean 0 and variance 1.

    >>> import tinydl
    >>> Embedding(10, 3)(tinydl.tensor([[1, 2], [4, 5]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_up(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            _freeze,
            device,
            dtype,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer whose table is `embeddings`, (num_embeddings, embedding_dim), trained only without `freeze`."""
        rows, width = _table_shape("Embedding", embeddings)
        return cls(rows, width, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def forward(self, input: Tensor) -> Tensor:
        """The rows."""
        return ops.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        return self._repr(before=self._padding_repr())


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the table's rows in each bag of indices: (bags, embedding_dim).

    Args:
        num_embeddings: the number of rows.
        embedding_dim: their size.
        max_norm, norm_type, scale_grad_by_freq, sparse: as for `Embedding`.
        mode: "sum", "mean" or "max".
        include_last_offset: whether the last offset is the end of the last bag.
        padding_idx: an index that does not count; its row is zero at first.
        device: where the parameters lie; by default on the CPU.
        dtype: of the table, float32 or float64.

    >>> import tinydl
    >>> EmbeddingBag(10, 3)(tinydl.tensor([1, 2, 4, 5]), tinydl.tensor([0, 3])).shape
    (2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if mode not in ops.MODES:
            raise ValueError(f"EmbeddingBag: got mode {mode!r}, wanted 'sum', 'mean' or 'max'")
        self.mode = mode
        self.include_last_offset = include_last_offset
        self._set_up(
            num_embeddings,
            embedding_dim,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight,
            False,
            device,
            dtype,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer whose table is `embeddings`, (num_embeddings, embedding_dim), trained only without `freeze`."""
        rows, width = _table_shape("EmbeddingBag", embeddings)
        layer = cls(
            rows,
            width,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        layer.weight.requires_grad = not freeze
        return layer

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """The reduced bags."""
        return ops.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            False,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        return self._repr(after=f", mode={self.mode!r}{self._padding_repr()}")


def _table_shape(owner: str, embeddings: Tensor) -> tuple[int, int]:
    if embeddings.ndim != 2:
        raise ValueError(f"{owner}.from_pretrained: got embeddings of shape {embeddings.shape}, wanted two axes")
    rows, width = embeddings.shape
    return rows, width
