"""The CPU kernels. Arrays are float32 or float64 unless said; what goes in and comes out is described by the ops."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
Number = Array | float | None

# runtime
def isa() -> str: ...
def detected_isa() -> str: ...
def set_isa(name: str) -> None: ...
def float32_matmul_precision() -> str: ...
def set_float32_matmul_precision(precision: str) -> None: ...
def start_trace() -> None: ...
def stop_trace() -> str: ...
def tile_threshold() -> tuple[int, int]: ...
def set_tile_threshold(side: int, work: int) -> None: ...
def num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def memory_stats() -> dict[str, int | None]: ...
def reset_peak_memory() -> None: ...
def empty_cache() -> None: ...
def set_cache_limit(bytes: int) -> None: ...

# elementwise
def row_major(x: Array) -> Array: ...
def copy(x: Array) -> Array: ...
def neg(x: Array) -> Array: ...
def abs(x: Array) -> Array: ...
def exp(x: Array) -> Array: ...
def expm1(x: Array) -> Array: ...
def log(x: Array) -> Array: ...
def log1p(x: Array) -> Array: ...
def sqrt(x: Array) -> Array: ...
def erf(x: Array) -> Array: ...
def sinc(x: Array) -> Array: ...
def relu(x: Array) -> Array: ...
def sigmoid(x: Array) -> Array: ...
def tanh(x: Array) -> Array: ...
def gelu(x: Array) -> Array: ...
def gelu_tanh(x: Array) -> Array: ...
def silu(x: Array) -> Array: ...
def mish(x: Array) -> Array: ...
def leaky_relu(x: Array, slope: float) -> Array: ...
def elu(x: Array, alpha: float, scale: float, input_scale: float) -> Array: ...
def softplus(x: Array, beta: float, threshold: float) -> Array: ...
def clamp(x: Array, low: float, high: float) -> Array: ...
def add(a: Array, b: Array) -> Array: ...
def sub(a: Array, b: Array) -> Array: ...
def mul(a: Array, b: Array) -> Array: ...
def div(a: Array, b: Array) -> Array: ...
def maximum(a: Array, b: Array) -> Array: ...
def minimum(a: Array, b: Array) -> Array: ...
def where(condition: Array, a: Array, b: Array) -> Array: ...
def relu_backward(grad: Array, y: Array) -> Array: ...
def sigmoid_backward(grad: Array, y: Array) -> Array: ...
def tanh_backward(grad: Array, y: Array) -> Array: ...
def abs_backward(grad: Array, x: Array) -> Array: ...
def sinc_backward(grad: Array, x: Array) -> Array: ...
def gelu_backward(grad: Array, x: Array) -> Array: ...
def gelu_tanh_backward(grad: Array, x: Array) -> Array: ...
def silu_backward(grad: Array, x: Array) -> Array: ...
def mish_backward(grad: Array, x: Array) -> Array: ...
def leaky_relu_backward(grad: Array, x: Array, slope: float) -> Array: ...
def elu_backward(grad: Array, x: Array, alpha: float, scale: float, input_scale: float) -> Array: ...
def softplus_backward(grad: Array, x: Array, beta: float, threshold: float) -> Array: ...
def clamp_backward(grad: Array, x: Array, low: float, high: float) -> Array: ...
def hardtanh_backward(grad: Array, x: Array, low: float, high: float) -> Array: ...
def maximum_backward(grad: Array, a: Array, b: Array) -> Array: ...
def minimum_backward(grad: Array, a: Array, b: Array) -> Array: ...

# reduce
def sum(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array: ...
def mean(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array: ...
def amax(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array: ...
def amin(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array: ...
def var(x: Array, axes: tuple[int, ...], correction: float, keepdims: bool) -> tuple[Array, Array]: ...
def var_backward(x: Array, y: Array, grad: Array) -> Array: ...
def extreme_backward(x: Array, y: Array, grad: Array) -> Array: ...

# matmul
def matmul(a: Array, b: Array, bias: Array | None = None, activation: str = "none") -> Array: ...
def matmul_bfloat16(a: Array, b: Array, bias: Array | None = None, activation: str = "none") -> Array: ...

# conv
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    activation: str,
) -> Array: ...
def conv2d_input_grad(
    grad: Array,
    weight: Array,
    input_shape: Sides,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    bias: Array | None = None,
) -> Array: ...
def conv2d_weight_grad(
    x: Array, grad: Array, weight_shape: Sides, stride: Pair, padding: Sides, dilation: Pair, groups: int
) -> Array: ...

# random
def uniform(count: int, low: float, high: float, seed: int, offset: int) -> Array: ...
def normal(count: int, mean: float, std: float, seed: int, offset: int) -> Array: ...
def dropout(x: Array, p: float, seed: int, offset: int) -> tuple[Array, Array]: ...
def dropout_backward(grad: Array, mask: Array, p: float) -> Array: ...

# optimizer
def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    momentum_buffers: Sequence[Array],
    lr: float,
    scale: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    first_step: bool,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array],
    beta1: float,
    beta2: float,
    avg_rate: float,
    grad_rate: float,
    root_scale: float,
    eps: float,
    amsgrad: bool,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def adamax_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_infs: Sequence[Array],
    lr: float,
    beta1: float,
    beta2: float,
    inner_eps: float,
    eps: float,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def adagrad_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    sums: Sequence[Array],
    lr: float,
    inner_eps: float,
    eps: float,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def rmsprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    grad_avgs: Sequence[Array],
    momentum_buffers: Sequence[Array],
    lr: float,
    scale: float,
    alpha: float,
    inner_eps: float,
    eps: float,
    momentum: float,
    centered: bool,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def adadelta_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    acc_deltas: Sequence[Array],
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def asgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    axs: Sequence[Array],
    lr: float,
    share: float,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def rprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    prevs: Sequence[Array],
    step_sizes: Sequence[Array],
    shrink: float,
    grow: float,
    smallest: float,
    largest: float,
    weight_decay: float,
    keep: float,
    maximize: bool,
) -> None: ...
def total_norm(arrays: Sequence[Array], norm: str) -> float: ...
def scale_all(arrays: Sequence[Array], factor: float) -> None: ...
def clamp_all(arrays: Sequence[Array], limit: float) -> None: ...

# softmax
def softmax(x: Array, axis: int) -> Array: ...
def softmax_backward(grad: Array, y: Array, axis: int) -> Array: ...
def log_softmax(x: Array, axis: int) -> Array: ...
def log_softmax_backward(grad: Array, y: Array, axis: int) -> Array: ...

# loss
def cross_entropy(
    x: Array,
    target: Array,
    reduction: str,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[Array, Array]: ...
def cross_entropy_backward(
    grad: Array,
    x: Array,
    target: Array,
    stats: Array,
    reduction: str,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Array: ...
def nll_loss(x: Array, target: Array, reduction: str, weight: Array | None, ignore_index: int) -> Array: ...
def nll_loss_backward(
    grad: Array, x: Array, target: Array, reduction: str, weight: Array | None, ignore_index: int
) -> Array: ...
def squared_error(x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None) -> Array: ...
def squared_error_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def absolute_error(x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None) -> Array: ...
def absolute_error_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def smooth_l1(x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None) -> Array: ...
def smooth_l1_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def huber(x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None) -> Array: ...
def huber_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def binary_cross_entropy(
    x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None
) -> Array: ...
def binary_cross_entropy_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def binary_cross_entropy_with_logits(
    x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None
) -> Array: ...
def binary_cross_entropy_with_logits_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def kl_div(x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None) -> Array: ...
def kl_div_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def kl_div_of_logs(x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None) -> Array: ...
def kl_div_of_logs_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def soft_margin(x: Array, target: Array, weight: Number, parameter: Number, divisor: float | None) -> Array: ...
def soft_margin_backward(
    grad: Array,
    x: Array,
    target: Array,
    weight: Number,
    parameter: Number,
    divisor: float | None,
    of_target: bool,
) -> Array: ...
def are_probabilities(x: Array) -> bool: ...

# pool
def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, want_taps: bool
) -> tuple[Array, Array | None]: ...
def max_pool2d_backward(
    grad: Array, taps: Array, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array: ...
def avg_pool2d(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int,
) -> Array: ...
def avg_pool2d_backward(
    grad: Array,
    size: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int,
) -> Array: ...

# resample
def resample_axis(x: Array, axis: int, start: Array, count: Array, weight: Array) -> Array: ...
def resample_plane(
    x: Array, h_start: Array, h_count: Array, h_weight: Array, w_start: Array, w_count: Array, w_weight: Array
) -> Array: ...

# exchange
def to_dlpack(array: Array, versioned: bool, copied: bool) -> Any: ...
def from_dlpack(capsule: Any) -> Array: ...
def export_buffer(type: Any) -> None: ...

# index; mask is bool, index int64
def take(x: Array, index: Array, axis: int, wrap: bool) -> Array: ...
def take_backward(grad: Array, index: Array, axis: int, size: int, wrap: bool) -> Array: ...
def gather(x: Array, index: Array, axis: int) -> Array: ...
def scatter_add(x: Array, index: Array, src: Array, axis: int) -> Array: ...
def cat(arrays: tuple[Array, ...], axis: int) -> Array: ...
def pad(x: Array, before: Sequence[int], after: Sequence[int], value: float) -> Array: ...
def masked_fill(x: Array, mask: Array, value: float) -> Array: ...

# recurrent
def recurrent(
    cell: str,
    gates: Array,
    weight: Array,
    bias: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    mask: Array | None = None,
    valid: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array | None, Array | None]: ...
def recurrent_backward(
    cell: str,
    dh: Array | None,
    dh_last: Array | None,
    dc_last: Array | None,
    gates: Array,
    weight: Array,
    h: Array,
    c: Array | None,
    candidate: Array | None,
    h0: Array | None = None,
    c0: Array | None = None,
    mask: Array | None = None,
    valid: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array, Array, Array | None]: ...

# attention
def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    scale: float,
    causal: bool = False,
    p: float = 0.0,
    seed: int = 0,
    offset: int = 0,
) -> tuple[Array, Array]: ...
def attention_backward(
    grad: Array,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    o: Array,
    lse: Array,
    scale: float,
    causal: bool = False,
    p: float = 0.0,
    seed: int = 0,
    offset: int = 0,
    want_dq: bool = True,
    want_dk: bool = True,
    want_dv: bool = True,
) -> tuple[Array | None, Array | None, Array | None]: ...

# embedding
def embedding(weight: Array, index: Array) -> Array: ...
def embedding_backward(grad: Array, index: Array, rows: int, padding: int, by_frequency: bool) -> Array: ...

# norm; statistics are float64
def channel_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array | None,
    var: Array | None,
    groups: int,
    eps: float,
) -> tuple[Array, Array]: ...
def channel_norm_backward(
    grad: Array,
    x: Array,
    weight: Array | None,
    stats: Array,
    groups: int,
    eps: float,
    fixed: bool,
    want_dx: bool,
    want_parameters: bool,
) -> tuple[Array | None, Array | None, Array | None]: ...
def update_running(running_mean: Array, running_var: Array, stats: Array, factor: float, correction: float) -> None: ...
def row_norm(
    x: Array, weight: Array | None, bias: Array | None, axes: int, eps: float, centered: bool
) -> tuple[Array, Array]: ...
def row_norm_backward(
    grad: Array,
    x: Array,
    weight: Array | None,
    stats: Array,
    axes: int,
    eps: float,
    centered: bool,
    want_dx: bool,
    want_parameters: bool,
) -> tuple[Array | None, Array | None, Array | None]: ...
def limit_fma(repeats: int) -> int: ...
def limit_fma_load(repeats: int) -> int: ...
def limit_tile_product(repeats: int) -> int: ...
def limit_tile_load(repeats: int) -> int: ...
def limit_copy(x: Array) -> Array: ...
