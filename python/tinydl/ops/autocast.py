"""Mixed precision: which operations compute in 16 bits within an `autocast` block, and which in float32.

`POLICIES` is the one list. An operation that it names asks `if on:` first, which is all that it costs outside of
blocks, and then takes `inputs(name, ...)` in the place of its tensors.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .. import backend, capture, dtypes
from ..autograd.grad_mode import state as grad_mode
from ..devices import device
from ..tensor import Tensor
from .casting import To, cast

_F = TypeVar("_F", bound=Callable[..., Any])

# -- The policies -----------------------------------------------------------------------------------------------

LOW = "low"  # in the block's dtype
FLOAT32 = "float32"
WIDEST = "widest"  # in the widest dtype among the inputs
INPUT = "input"  # as the input comes; float32 on the CPU, which has no other kernel

_LISTED = {
    LOW: """
        matmul linear inner tensordot einsum bilinear addmm addmv addbmm baddbmm addr conv1d conv2d conv_transpose1d
        conv_transpose2d scaled_dot_product_attention causal_self_attention multi_head_attention_forward recurrent
    """,
    FLOAT32: """
        exp exp2 expm1 log log2 log10 log1p logit pow reciprocal rsqrt tan asin acos sinh cosh softplus
        softmax log_softmax softmin sum nansum prod cumsum cumprod logsumexp logcumsumexp linalg.vecdot
        norm linalg.vector_norm linalg.matrix_norm normalize dist cdist pdist pairwise_distance cosine_similarity
        batch_norm instance_norm group_norm layer_norm rms_norm local_response_norm
        cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss kl_div binary_cross_entropy
        binary_cross_entropy_with_logits soft_margin_loss gaussian_nll_loss poisson_nll_loss ctc_loss
        hinge_embedding_loss margin_ranking_loss cosine_embedding_loss triplet_margin_loss multi_margin_loss
        multilabel_margin_loss multilabel_soft_margin_loss
    """,
    WIDEST: "prelu cross",
    INPUT: """
        dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout max_pool1d max_pool2d avg_pool1d
        avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d max_unpool1d
        max_unpool2d unfold fold
    """,
}
POLICIES = {op: policy for policy, names in _LISTED.items() for op in names.split()}
"""What becomes of an operation's inputs; those of the operations that are not here stay as they are."""

# The products that the CPU has a kernel for, in bfloat16 alone; the others keep float32 there.
_ON_CPU = "matmul linear inner tensordot einsum bilinear addmm addmv addbmm baddbmm multi_head_attention_forward"
ON_CPU = frozenset(_ON_CPU.split())


# -- The blocks -------------------------------------------------------------------------------------------------

on = 0  # how many blocks are open, in all threads
_counting = threading.Lock()

Dtypes = dict[str, np.dtype[Any]]


class _State(threading.local):
    """Of each thread: the 16-bit dtype of each kind of device that has one, and whether casts of weights are kept."""

    def __init__(self) -> None:
        self.low: Dtypes = {}
        self.keeps = True
        self.outer: list[tuple[Dtypes, bool]] = []  # the same of the blocks around this one
        self.casts: dict[tuple[int, str, bool], tuple[Tensor, list[Any], int, Tensor]] = {}


_state = _State()


def _enter(low: Dtypes, keeps: bool) -> None:
    global on
    _state.outer.append((_state.low, _state.keeps))
    _state.low, _state.keeps = low, keeps
    with _counting:
        on += 1


def _leave() -> None:
    global on
    _state.low, _state.keeps = _state.outer.pop()
    if not _state.outer:
        _state.casts.clear()
    with _counting:
        on -= 1


class autocast:
    """Compute in mixed precision within a block or a decorated function, in this thread.

    Products (`linear`, `matmul`, convolutions, attention, recurrent layers and their kind) take their inputs in
    `dtype`; softmax, losses, norms, exponentials, logarithms, powers and sums take them in float32. All others compute
    as their inputs come, in the widest of their dtypes where these differ. float64 and integers are left alone.

    Casts are differentiable: weights stay in float32 and get gradients of float32. A leaf that requires a gradient is
    cast once, and again after a change in place (each time where a CUDA graph is captured); the copies go at the end of
    the outermost block. Close the block
    before `backward`, which computes in the dtypes of the forward pass. With float16, whose smallest numbers gradients
    fall below, scale the loss by a `GradScaler`.

    On the CPU only matrix products have a kernel of a 16-bit dtype, for bfloat16. The other operations that `dtype`
    is meant for (and with float16 all of them), dropout and pooling compute there in float32.

    Args:
        device_type: "cuda" or "cpu": the kind of device whose tensors are meant.
        dtype: `float16` or `bfloat16`; by default float16 on GPUs and bfloat16 on the CPU.
        enabled: False computes as outside of any block.
        cache_enabled: False casts a leaf each time.

    Raises:
        ValueError: another kind of device. TypeError: another dtype.

    Source: Micikevicius et al. 2018, "Mixed precision training"; the policies are PyTorch's for CUDA, with all norms
    and `binary_cross_entropy` in float32.

    >>> import tinydl
    >>> x, w = tinydl.ones(2, 3), tinydl.ones(4, 3, requires_grad=True)
    >>> with autocast("cpu", dtype=tinydl.bfloat16):
    ...     y = tinydl.nn.functional.linear(x, w)
    ...     p = tinydl.softmax(y, -1)
    >>> str(y.dtype), str(p.dtype)
    ('bfloat16', 'float32')
    >>> y.sum().backward()
    >>> str(w.grad.dtype)
    'float32'
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device = _kind("autocast", device_type)
        self.dtype = _low("autocast", self.device, dtype)
        self.enabled = bool(enabled)
        self.keeps = cache_enabled

    def __enter__(self) -> autocast:
        low = {kind: dtype for kind, dtype in _state.low.items() if kind != self.device}
        if self.enabled:
            low[self.device] = self.dtype
        _enter(low, _state.keeps if self.keeps is None else self.keeps)
        return self

    def __exit__(self, *_: object) -> None:
        _leave()

    def __call__(self, function: _F) -> _F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def _kind(owner: str, device_type: str) -> str:
    kind = device(device_type)
    if kind.index is not None or kind.type not in ("cpu", "cuda", "cuda-emulated"):
        raise ValueError(f"{owner}: got device_type {device_type!r}, wanted 'cuda' or 'cpu'")
    return kind.type


def _low(owner: str, kind: str, dtype: Any) -> np.dtype[Any]:
    if dtype is None:
        return dtypes.bfloat16() if kind == "cpu" else dtypes.float16
    wanted = dtypes.wanted(owner, dtype)
    if not dtypes.is_floating_point(wanted) or wanted.itemsize != 2:
        raise TypeError(f"{owner}: got dtype {wanted}, wanted float16 or bfloat16")
    return wanted


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is within an `autocast` block for a kind of device.

    >>> with autocast("cpu"):
    ...     is_autocast_enabled("cpu"), is_autocast_enabled("cuda")
    (True, False)
    """
    return _kind("is_autocast_enabled", device_type) in _state.low


def get_autocast_dtype(device_type: str) -> np.dtype[Any]:
    """The 16-bit dtype of a kind of device: the innermost block's, else the one that `autocast` takes by default."""
    kind = _kind("get_autocast_dtype", device_type)
    return _state.low[kind] if kind in _state.low else _low("get_autocast_dtype", kind, None)


# -- The casts --------------------------------------------------------------------------------------------------


_CAST = "feE"  # NumPy's letters of the dtypes that are cast: float32, float16, bfloat16


@functools.cache
def _targets(kind: str, low: np.dtype[Any]) -> dict[str, np.dtype[Any] | None]:
    """What each operation casts the tensors of a kind of device to; None stands for the widest dtype of the inputs."""
    out: dict[str, np.dtype[Any] | None] = {}
    for op, policy in POLICIES.items():
        if policy == LOW and (kind != "cpu" or (op in ON_CPU and low != dtypes.float16)):
            out[op] = low
        elif policy == WIDEST:
            out[op] = None
        elif policy != INPUT or kind == "cpu":
            out[op] = dtypes.float32
    return out


def inputs(op: str, *tensors: Any) -> tuple[Any, ...]:
    """An operation's tensors in the dtypes of its policy; what is no tensor of floating-point numbers stays."""
    if not _state.low:
        return tensors
    kind = next((backend.kind_of(t._data) for t in tensors if isinstance(t, Tensor)), None)
    if kind not in _state.low:
        return tensors
    targets = _targets(kind, _state.low[kind])
    if op not in targets:
        return tensors
    dtype = targets[op]
    if dtype is None:
        floats = [t._data.dtype for t in tensors if isinstance(t, Tensor) and dtypes.is_floating_point(t._data.dtype)]
        if not floats:
            return tensors
        dtype = functools.reduce(dtypes.promote, floats)
    found: dict[int, Any] = {}  # what is one tensor stays one
    for t in tensors:
        if isinstance(t, Tensor) and t._data.dtype is not dtype and t._data.dtype.char in _CAST and id(t) not in found:
            found[id(t)] = _in(t, dtype)
    return tuple([found.get(id(t), t) for t in tensors]) if found else tensors


class _Kept(To):
    """A cast that several backward passes may walk, as it keeps no arrays."""

    def _release(self) -> None:
        pass


def _in(tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """The tensor in a dtype; of leaves that require gradients, the copy that the block has.

    But not while a graph is captured: its replays cast what the weights then are.
    """
    if tensor._data.dtype == dtype:
        return tensor
    captured = capture.active is not None and capture.active.here
    if not tensor.requires_grad or tensor.grad_fn is not None or not _state.keeps or captured:
        return cast(tensor, dtype)
    key = id(tensor), dtype.char, grad_mode.enabled
    kept = _state.casts.get(key)
    if kept is not None and kept[1] is tensor._version and kept[2] == tensor._version[0]:
        return kept[3]
    out: Tensor = _Kept(dtype).apply(tensor)
    _state.casts[key] = tensor, tensor._version, tensor._version[0], out
    return out
