"""Recurrent layers over whole sequences: one layer in one direction, and one step of a cell."""

from __future__ import annotations

import numpy as np

from .. import backend
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .elementwise import cast
from .join import stack
from .matmul import check_operands, linear
from .selection import where

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


class Recurrent(Function):
    """h_t (and c_t) of all time steps from x (T, B, I); see `recurrent` for the equations.

    With da and dr the gradients of the gates' input and recurrent parts, summed over time steps and sequences:
    dW = sum of da x^T, dU = sum of dr h_{t-1}^T, db = sum of da, db_h = sum of dr, and dx = da W.
    """

    def __init__(
        self, cell: str, reverse: bool, valid: Array | None, mask: Array | None, batch_first: bool = False
    ) -> None:
        self.cell = cell
        self.reverse = reverse
        self.batch_first = batch_first
        self.valid = valid
        self.mask = mask

    def forward(
        self,
        x: Array,
        w: Array,
        u: Array,
        bias: Array | None,
        recurrent_bias: Array | None,
        h0: Array | None,
        c0: Array | None,
    ) -> tuple[Array, ...]:
        kernels = backend.of(x)
        in_time = x.transpose(1, 0, 2) if self.batch_first else x
        steps, batch, features = in_time.shape
        rows = in_time.reshape(steps * batch, features)
        gates = kernels.matmul(rows, w.T, bias).reshape(steps, batch, w.shape[0])
        h, c, candidate = kernels.recurrent(
            self.cell, gates, u, recurrent_bias, h0, c0, self.mask, self.valid, self.reverse
        )
        out = h.transpose(1, 0, 2) if self.batch_first else h
        self.save(x, out, rows, w, u, h0, c0, gates, h, c, candidate)
        last = 0 if self.reverse else -1
        return (out, h[last].copy()) if c is None else (out, h[last].copy(), c[last].copy())

    def backward(
        self, dh: Array | None, dh_last: Array | None, dc_last: Array | None = None
    ) -> tuple[Array | None, ...]:
        _, _, rows, w, u, h0, c0, gates, h, c, candidate = self.saved  # x and the result are kept for their versions
        kernels = backend.of(h)
        if self.batch_first and dh is not None:
            dh = dh.transpose(1, 0, 2)
        da, dr, dh0, dc0 = kernels.recurrent_backward(
            self.cell, dh, dh_last, dc_last, gates, u, h, c, candidate, h0, c0, self.mask, self.valid, self.reverse
        )
        flat = da.reshape(rows.shape[0], w.shape[0])
        x, weight, recurrent_weight, bias, recurrent_bias, first_h, first_c = self.needs
        db = kernels.sum(flat, (0,), False) if bias else None
        dx = kernels.matmul(flat, w).reshape(*h.shape[:2], w.shape[1]) if x else None
        return (
            dx.transpose(1, 0, 2) if self.batch_first and dx is not None else dx,
            kernels.matmul(flat.T, rows) if weight else None,
            self._weight_grad(dr, h, h0) if recurrent_weight else None,
            db,
            self._recurrent_bias_grad(da, dr, db) if recurrent_bias else None,
            dh0 if first_h else None,
            dc0 if first_c else None,
        )

    @staticmethod
    def _recurrent_bias_grad(da: Array, dr: Array, db: Array | None) -> Array:
        """db_h, which is db where da and dr are one array: in all cells but gru."""
        if dr is da and db is not None:
            return db.copy()
        return backend.of(dr).sum(dr.reshape(-1, dr.shape[2]), (0,), False)  # type: ignore[no-any-return]

    def _weight_grad(self, dr: Array, h: Array, h0: Array | None) -> Array:
        """dU: each step's dr meets the state before it, under the mask."""
        kernels = backend.of(h)
        steps, _, size = h.shape
        before, after, first = (h[1:], dr[:-1], dr[-1]) if self.reverse else (h[:-1], dr[1:], dr[0])
        if self.mask is not None:
            before = kernels.mul(before, self.mask)
            h0 = None if h0 is None else kernels.mul(h0, self.mask)
        if steps == 1 and h0 is not None:
            return kernels.matmul(first.T, h0)  # type: ignore[no-any-return]
        du: Array = kernels.matmul(after.reshape(-1, dr.shape[2]).T, before.reshape(-1, size))
        return du if h0 is None else kernels.add(du, kernels.matmul(first.T, h0))


def _shapes(
    cell: str, x: Tensor, w: Tensor, u: Tensor, states: list[tuple[str, Tensor | None]], batch_first: bool
) -> None:
    """ValueError unless the operands fit each other."""
    if cell not in GATES:
        raise ValueError(f"recurrent: got cell {cell!r}, wanted one of {', '.join(GATES)}")
    if x.ndim != 3 or not x.shape[batch_first]:
        axes = "(batch, steps, features)" if batch_first else "(steps, batch, features)"
        raise ValueError(f"recurrent: got an input of shape {x.shape}, wanted {axes}, one step at least")
    wide, hidden = u.shape if u.ndim == 2 else (0, 0)
    if not hidden or wide != GATES[cell] * hidden:
        raise ValueError(
            f"recurrent: got recurrent weights {u.shape}, wanted ({GATES[cell]} hidden, hidden) for {cell}"
        )
    if w.shape != (wide, x.shape[2]):
        raise ValueError(f"recurrent: got weights {w.shape}, wanted {(wide, x.shape[2])} for an input of {x.shape}")
    for name, value in states:
        wanted = (wide,) if name.endswith("bias") else (x.shape[not batch_first], hidden)
        if value is not None and value.shape != wanted:
            raise ValueError(f"recurrent: got {name} of shape {value.shape}, wanted {wanted}")


def recurrent(
    cell: str,
    input: Tensor,
    weight: Tensor,
    recurrent_weight: Tensor,
    bias: Tensor | None = None,
    recurrent_bias: Tensor | None = None,
    h0: Tensor | None = None,
    c0: Tensor | None = None,
    *,
    reverse: bool = False,
    valid: Array | None = None,
    mask: Tensor | None = None,
    batch_first: bool = False,
) -> tuple[Tensor, ...]:
    """One recurrent layer in one direction over x_1 ... x_T: all h_t, the last h, and for "lstm" the last c.

    With a_t = W x_t + b and r_t = U h_{t-1} + b_h, in blocks of `hidden` rows that are called by their gates:

    - "rnn_tanh": h_t = tanh(a + r); "rnn_relu": h_t = max(a + r, 0)
    - "lstm": i, f, o = sigmoid(a + r), g = tanh(a + r); c_t = f c_{t-1} + i g; h_t = o tanh(c_t)
    - "gru": s, z = sigmoid(a + r); n = tanh(a_n + s r_n); h_t = (1 - z) n + z h_{t-1}

    Shapes: input (T, B, I), weight (G H, I), recurrent_weight (G H, H), biases (G H,), states (B, H), where G is 1, 4
    (in the order i f g o) or 3 (s z n); the result (T, B, H). With `batch_first` the input is (B, T, I) and the result
    (B, T, H). Steps t with valid[t, b] False leave the states of sequence b as they were; `mask` (B, H) multiplies
    h_{t-1} in every step (recurrent dropout), in U h_{t-1} and in z h_{t-1}. `reverse` goes from the last step to the
    first.

    Raises:
        ValueError: the shapes do not fit, there is no time step, c0 is given for another cell than lstm, or the mask
            wants a gradient.
        TypeError: the dtypes differ.

    Sources: Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000); Cho et al. (2014), in the
    form of cuDNN that resets after the product.

    >>> import tinydl
    >>> h, last = recurrent("rnn_tanh", tinydl.zeros(3, 2, 4), tinydl.ones(5, 4), tinydl.ones(5, 5))
    >>> h.shape, last.shape
    ((3, 2, 5), (2, 5))
    """
    operands = (input, weight, recurrent_weight, bias, recurrent_bias, h0, c0)
    if autocast.on:
        (*given, mask) = autocast.inputs("recurrent", *operands, mask)
        operands = input, weight, recurrent_weight, bias, recurrent_bias, h0, c0 = tuple(given)
    check_operands("recurrent", *operands, mask)
    _shapes(
        cell,
        input,
        weight,
        recurrent_weight,
        [("bias", bias), ("recurrent_bias", recurrent_bias), ("h0", h0), ("c0", c0), ("mask", mask)],
        batch_first,
    )
    if not backend.takes(input._data):
        wide = [None if t is None else cast(t, np.dtype(np.float32)) for t in (*operands, mask)]
        out = recurrent(cell, *wide[:7], reverse=reverse, valid=valid, mask=wide[7], batch_first=batch_first)  # type: ignore[arg-type]
        return tuple(cast(t, input.dtype) for t in out)
    if c0 is not None and cell != "lstm":
        raise ValueError(f"recurrent: got c0 for {cell}, wanted None: only lstm has such a state")
    if mask is not None and mask.requires_grad:
        raise ValueError("recurrent: the mask gets no gradient; detach it")
    steps = None if valid is None or not valid.size else backend.beside(valid.copy(), input._data)
    function = Recurrent(cell, reverse, steps, None if mask is None else mask._data.copy(), batch_first)
    return function.apply(*operands)  # type: ignore[no-any-return]


def projected_lstm(
    input: Tensor,
    weight: Tensor,
    recurrent_weight: Tensor,
    bias: Tensor | None,
    recurrent_bias: Tensor | None,
    projection: Tensor,
    h0: Tensor,
    c0: Tensor,
    *,
    reverse: bool = False,
    valid: Array | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`recurrent` of "lstm" with h_t = P (o tanh(c_t)), step by step (Sak, Senior, Beaufays 2014).

    Shapes as there, but projection P (H', H), recurrent_weight (4 H, H'), and h0 and the result of size H'.
    """
    parts = linear(input, weight, bias)
    h, c = h0, c0
    states: list[Tensor] = []
    steps = range(input.shape[0])
    for t in reversed(steps) if reverse else steps:
        gates = parts[t] + linear(h, recurrent_weight, recurrent_bias)
        i, f, g, o = gates.chunk(4, 1)
        new_c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        new_h = linear(o.sigmoid() * new_c.tanh(), projection)
        if valid is not None:
            live = Tensor(backend.beside(valid[t][:, None], input._data))
            new_h, new_c = where(live, new_h, h), where(live, new_c, c)
        h, c = new_h, new_c
        states.append(h)
    return stack(states[::-1] if reverse else states), h, c
