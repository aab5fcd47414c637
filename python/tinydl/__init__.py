"""tinydl: a small, fast tensor engine with the names that PyTorch and Keras users know."""

from __future__ import annotations

from importlib import import_module
from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

from . import (
    autograd,
    dtypes,
    ops,  # attaches the tensor's methods
    refusal,
)
from .autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .backend import (
    empty_cache,
    memory_stats,
    reset_peak_memory,
    set_cache_limit,
    set_num_threads,
)
from .backend import num_threads as get_num_threads
from .creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    one_hot,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from .devices import device
from .dtypes import (
    bool,
    double,
    finfo,
    float,
    float16,
    float32,
    float64,
    half,
    iinfo,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    short,
    uint8,
)
from .exchange import asarray, from_dlpack, frombuffer
from .explanation import explain
from .ops.activation import celu, prelu, relu, selu, sigmoid, tanh
from .ops.adaptive_pool import adaptive_avg_pool1d, adaptive_max_pool1d
from .ops.autocast import autocast, get_autocast_dtype, is_autocast_enabled
from .ops.bounds import clamp, clamp_max, clamp_min, clip, fmax, fmin, maximum, minimum
from .ops.comparison import (
    allclose,
    eq,
    equal,
    ge,
    greater,
    greater_equal,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    le,
    less,
    less_equal,
    lt,
    ne,
    not_equal,
)
from .ops.conv import conv1d, conv2d
from .ops.conv_transpose import conv_transpose1d, conv_transpose2d
from .ops.counting import bincount, histc, isin, unravel_index
from .ops.covariance import corrcoef, cov
from .ops.diagonal import diag, diag_embed, diagflat, diagonal, trace
from .ops.distance import cdist, cosine_similarity, dist, norm, pairwise_distance, pdist
from .ops.einsum import einsum
from .ops.elementwise import (
    abs,
    absolute,
    add,
    div,
    divide,
    erf,
    exp,
    log,
    mul,
    multiply,
    neg,
    negative,
    positive,
    rsub,
    sqrt,
    sub,
    subtract,
    true_divide,
)
from .ops.exponential import erfc, exp2, expm1, log1p, log2, log10, logaddexp, logit, xlogy
from .ops.extremes import amax, amin, aminmax, argmax, argmin, max, min
from .ops.fold import channel_shuffle, pixel_shuffle, pixel_unshuffle
from .ops.index import gather, index_add, index_copy, index_fill, index_select, repeat_interleave, take_along_dim
from .ops.index import take_flat as take
from .ops.inspection import (
    can_cast,
    clone,
    detach,
    is_complex,
    is_floating_point,
    is_nonzero,
    is_same_size,
    is_signed,
    is_tensor,
    numel,
    promote_types,
    result_type,
)
from .ops.integrate import cumulative_trapezoid, trapezoid, trapz
from .ops.join import (
    block_diag,
    cat,
    chunk,
    column_stack,
    concat,
    concatenate,
    dsplit,
    dstack,
    hsplit,
    hstack,
    split,
    split_with_sizes,
    stack,
    tensor_split,
    unbind,
    vsplit,
    vstack,
)
from .ops.join import vstack as row_stack
from .ops.logical import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
)
from .ops.mask import (
    argwhere,
    masked_fill,
    masked_scatter,
    masked_select,
    nonzero,
    tril,
    tril_indices,
    triu,
    triu_indices,
)
from .ops.matmul import matmul
from .ops.matrices import (
    chain_matmul,
    cholesky,
    cholesky_solve,
    det,
    inverse,
    logdet,
    matrix_power,
    pinverse,
    slogdet,
)
from .ops.order import median, mode, nanmedian, nanquantile, quantile
from .ops.piecewise import hardshrink, threshold
from .ops.pool import avg_pool1d, max_pool1d, max_pool2d
from .ops.powers import float_power, hypot, pow, reciprocal, rsqrt, square, vander
from .ops.products import (
    addbmm,
    addmm,
    addmv,
    addr,
    baddbmm,
    bilinear,
    bmm,
    cross,
    dot,
    inner,
    kron,
    mm,
    mv,
    outer,
    tensordot,
    vdot,
)
from .ops.products import outer as ger
from .ops.put import index_put
from .ops.rearrange import cartesian_prod, combinations, flip, fliplr, flipud, meshgrid, roll, rot90, tile
from .ops.reduce import all, any, count_nonzero, mean, nanmean, nansum, prod, sum
from .ops.rounding import (
    ceil,
    fix,
    floor,
    floor_divide,
    fmod,
    frac,
    heaviside,
    remainder,
    round,
    sgn,
    sign,
    signbit,
    trunc,
)
from .ops.scan import cummax, cummin, cumprod, cumsum, diff, logcumsumexp
from .ops.scatter import scatter, scatter_add, scatter_reduce
from .ops.selection import nan_to_num, where
from .ops.shape import (
    adjoint,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_shapes,
    broadcast_tensors,
    broadcast_to,
    moveaxis,
    movedim,
    narrow,
    ravel,
    select,
    swapaxes,
    swapdims,
    unflatten,
)
from .ops.softmax import log_softmax, softmax
from .ops.sort import argsort, bucketize, kthvalue, msort, searchsorted, sort, topk, unique, unique_consecutive
from .ops.statistics import logsumexp, std, std_mean, var, var_mean
from .ops.trigonometry import (
    acos,
    acosh,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    deg2rad,
    rad2deg,
    sin,
    sinc,
    sinh,
    tan,
)
from .ops.view import flatten, permute, reshape, squeeze, t, transpose, unsqueeze
from .ops.weighted import addcdiv, addcmul, lerp
from .random import Generator, default_generator, initial_seed, manual_seed
from .sampling import (
    bernoulli,
    get_rng_state,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from .serialization import load, save
from .settings import (
    are_deterministic_algorithms_enabled,
    get_float32_matmul_precision,
    set_float32_matmul_precision,
    use_deterministic_algorithms,
)
from .tensor import Tensor
from .typed import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)

__version__ = "0.1.0"

newaxis = None
Size = tuple  # type: ignore[type-arg]  # what a shape is
dtype = dtypes.dtype

refusal.guard(globals(), aliased=True)

_SUBPACKAGES = ("amp", "cuda", "keras", "linalg", "models", "nn", "optim", "text", "train", "utils", "vision")

if TYPE_CHECKING:
    from . import amp, cuda, keras, linalg, models, nn, optim, text, train, utils, vision


def __getattr__(name: str) -> Any:
    """The subpackages, imported on first use."""
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    if name == "bfloat16":  # which needs ml_dtypes
        return dtypes.bfloat16()
    raise AttributeError(f"module 'tinydl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBPACKAGES})
