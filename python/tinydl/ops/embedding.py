"""Rows of a table by their indices, alone or reduced in bags; one-hot vectors."""

from __future__ import annotations

import numpy as np

from .. import anywhere, backend, creation, dtypes
from ..autograd import Function, is_grad_enabled
from ..tensor import Array, Tensor
from .elementwise import apply_float, mul
from .index import IndexAdd, index_of, vector_of
from .inplace import bump
from .scatter import scatter_reduce
from .view import expand, reshape, unsqueeze

MODES = ("sum", "mean", "max")


class Embedding(Function):
    """y[p] = w[index[p]]; dw[j] = the sum of dy[p] over the p with index[p] = j, over their number if `by_frequency`.

    The row `padding` (-1 is none) gets no gradient.
    """

    def __init__(self, index: Array, padding: int, by_frequency: bool) -> None:
        self.index = index
        self.padding = padding
        self.by_frequency = by_frequency

    def forward(self, w: Array) -> Array:
        self.rows = w.shape[0]
        index = self.index
        if self.needs[0]:
            self.index = index.copy()
        return backend.of(w).embedding(w, index)  # type: ignore[no-any-return]

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        return kernels.embedding_backward(grad, self.index, self.rows, self.padding, self.by_frequency)  # type: ignore[no-any-return]


def _padding(op: str, padding_idx: int | None, rows: int) -> int:
    """The padding's row counted from 0, or -1 for none; ValueError where there is no such row."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{op}: got padding_idx {padding_idx} for a table of {rows} rows")
    return padding_idx % rows


def _refuse_sparse(op: str, sparse: bool) -> None:
    if sparse:
        raise ValueError(f"{op}: sparse gradients are not available: the gradient is a dense array; leave out `sparse`")


def renormalise(weight: Tensor, index: Array, max_norm: float, norm_type: float) -> None:
    """Scale those rows at the indices whose norm is above `max_norm` to it, in place and off the tape."""
    if weight.requires_grad and weight.grad_fn is not None and is_grad_enabled():
        raise RuntimeError("embedding: max_norm changes the weight in place, which must be a leaf; detach it")
    rows = np.unique(index)
    chosen = weight._data[rows]
    norms = np.linalg.norm(chosen.astype(np.float64), ord=norm_type, axis=1)
    scale = np.where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
    weight._data[rows] = chosen * scale[:, None].astype(chosen.dtype)
    bump(weight)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y[p] = weight[input[p]], of shape (*input.shape, embedding_dim).

    Args:
        input: indices in [0, num_embeddings), int64 or int32, of any shape.
        weight: the table, (num_embeddings, embedding_dim).
        padding_idx: a row that gets no gradient; negative numbers count from the end.
        max_norm: rows that are used and whose norm is larger are first scaled to this norm, in place.
        norm_type: p of that p-norm.
        scale_grad_by_freq: divide a row's gradient by how often the row was used in this call.
        sparse: not available.

    Raises:
        IndexError: an index is negative, or num_embeddings or above. TypeError: the input holds no int64 or int32.
        ValueError: the weight has no two axes, padding_idx is no row of it, or `sparse`.

    >>> import tinydl
    >>> from tinydl.nn.functional import embedding
    >>> embedding(tinydl.tensor([1, 0, 1]), tinydl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """
    if sparse:
        _refuse_sparse("embedding", sparse)
    index = index_of("embedding", input)
    if len(weight.shape) != 2:
        raise ValueError(f"embedding: got a weight of shape {weight.shape}, wanted (num_embeddings, embedding_dim)")
    padding = -1 if padding_idx is None else _padding("embedding", padding_idx, weight.shape[0])
    if max_norm is not None:
        _check_rows("embedding", index, weight.shape[0])
        renormalise(weight, index, max_norm, norm_type)
    function = Embedding(index, padding, scale_grad_by_freq)
    if backend.takes(weight._data):
        return function.apply(weight)  # type: ignore[no-any-return]
    if not dtypes.is_floating_point(weight.dtype):
        _check_rows("embedding", index, weight.shape[0])
        return Tensor(weight._data[index])
    return apply_float("embedding", function, weight)


def _check_rows(op: str, index: Array, rows: int) -> None:
    if index.size and not (index.min() >= 0 and index.max() < rows):
        wrong = index[(index < 0) | (index >= rows)].flat[0]
        raise IndexError(f"{op}: index {wrong} is out of range for size {rows}")


# -- Bags -----------------------------------------------------------------------------------------------------------


def _bags(op: str, input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Array, Array, int]:
    """The flat indices, the bag of each, and the number of bags."""
    index = index_of(op, input)
    if index.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{op}: got offsets for an input of shape {index.shape}, whose rows are the bags")
        rows = backend.numpy_of(index).arange(index.shape[0])
        return index.reshape(-1), np.repeat(rows, index.shape[1]), index.shape[0]
    if index.ndim != 1 or offsets is None:
        raise ValueError(f"{op}: got an input of shape {index.shape}, wanted (bags, size), or one axis and offsets")
    starts = backend.to_host(vector_of(op, offsets)).astype(np.int64)
    if offsets.ndim != 1 or not starts.size or starts[0] != 0:
        raise ValueError(f"{op}: got offsets {starts.tolist()}, wanted one axis that begins with 0")
    edges = starts if include_last_offset else np.append(starts, index.size)
    if (np.diff(edges) < 0).any() or edges[-1] > index.size:
        raise ValueError(f"{op}: got offsets {starts.tolist()}, wanted rising numbers up to {index.size}")
    sizes = np.diff(edges)
    bag = backend.beside(np.repeat(np.arange(sizes.size), sizes), index)
    return index[: int(edges[-1])], bag, sizes.size


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the table's rows in each bag: (bags, embedding_dim). An empty bag gives zeros.

    Args:
        input: indices, (bags, size); or of one axis, with `offsets`.
        weight: the table, (num_embeddings, embedding_dim).
        offsets: where each bag begins in the input, from 0; with `include_last_offset` the last one is the end. The CPU
            reads them.
        mode: "sum", "mean" or "max".
        per_sample_weights: factors of the rows, of the input's shape, with "sum" only.
        padding_idx: an index that does not count.
        max_norm, norm_type, scale_grad_by_freq, sparse: as for `embedding`.

    Raises IndexError, ValueError and TypeError as `embedding`, and where the offsets or the mode are wrong.

    >>> import tinydl
    >>> from tinydl.nn.functional import embedding_bag
    >>> table = tinydl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> embedding_bag(tinydl.tensor([0, 1, 1]), table, tinydl.tensor([0, 2]), mode="sum")
    tensor([[4., 6.],
            [3., 4.]])
    """
    op = "embedding_bag"
    if mode not in MODES:
        raise ValueError(f"{op}: got mode {mode!r}, wanted 'sum', 'mean' or 'max'")
    index, bag, bags = _bags(op, input, offsets, include_last_offset)
    factors = None
    if per_sample_weights is not None:
        if mode != "sum" or per_sample_weights.shape != input.shape:
            raise ValueError(f"{op}: per_sample_weights need mode 'sum' and the input's shape {input.shape}")
        factors = reshape(per_sample_weights, -1)[: index.size]
    padding = _padding(op, padding_idx, weight.shape[0])
    if padding >= 0:
        kept = np.nonzero(index != padding)[0]
        index, bag = index[kept], bag[kept]
        factors = None if factors is None else factors[Tensor(kept)]
    rows = embedding(Tensor(index), weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if factors is not None:
        rows = mul(rows, unsqueeze(factors, -1))
    start = Tensor(backend.zeros((bags, weight.shape[1]), rows._data))
    if mode == "max":
        places = expand(Tensor(bag[:, None]), rows.shape)
        return scatter_reduce(start, 0, places, rows, "amax", include_self=False)
    total: Tensor = IndexAdd(0, bag, 1).apply(start, rows)
    if mode == "sum":
        return total
    counts = np.maximum(anywhere.sums(bag, backend.numpy_of(bag).ones(bag.size), bags), 1).astype(rows.dtype)
    return mul(total, Tensor(1 / counts[:, None]))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """y[..., c] = 1 where tensor[...] = c, else 0: int64, of shape (*tensor.shape, num_classes).

    By default there are as many classes as the largest index needs. TypeError unless the indices are int64,
    IndexError where one is negative or too large.

    >>> import tinydl
    >>> from tinydl.nn.functional import one_hot
    >>> one_hot(tinydl.tensor([1, 0]), 3)
    tensor([[0, 1, 0],
            [1, 0, 0]])
    """
    index_of("one_hot", tensor, only_int64=True)
    if num_classes < -1 or (num_classes == 0 and tensor.numel()):
        raise ValueError(f"one_hot: got num_classes {num_classes}, wanted a positive number, or -1")
    return creation.one_hot(tensor, num_classes)
