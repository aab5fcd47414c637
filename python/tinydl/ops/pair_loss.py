"""Losses of pairs of an input and a target, element by element: errors, binary cross-entropy, divergence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from warnings import warn

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast, reduce
from .arguments import check_floating, check_tensors
from .elementwise import cast, operands
from .loss import check_weight, reduced, reduction_of
from .view import expand


class PairLoss(Function):
    """y_i = w_i f(x_i, t_i), or their sum over a divisor; the kernel named `kernel` knows f and its derivatives."""

    def __init__(self, kernel: str, divisor: float | None, parameter: float | None = None) -> None:
        self.kernel = kernel
        self.divisor = divisor
        self.parameter = parameter

    def forward(self, x: Array, target: Array, *options: Array | None) -> Array:
        self.save(x, target, *options)
        function = getattr(backend.of(x), self.kernel)
        if not options:
            return function(x, target, None, self.parameter, self.divisor)  # type: ignore[no-any-return]
        return function(x, target, *self._series(x.shape, options), self.divisor)  # type: ignore[no-any-return]

    def _series(self, shape: tuple[int, ...], options: Sequence[Array | None]) -> tuple[Any, Any]:
        """The weight and the parameter of each element; `options` are their arrays, if any."""
        if not options:
            return None, self.parameter
        weight, parameter = [None if a is None else np.broadcast_to(a, shape) for a in options]
        return weight, self.parameter if parameter is None else parameter

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, target, *options = self.saved
        function = getattr(backend.of(x), self.kernel + "_backward")
        weight, parameter = self._series(x.shape, options)
        dx, dt = [
            function(grad, x, target, weight, parameter, self.divisor, of_target) if self.needs[of_target] else None
            for of_target in (False, True)
        ]
        return dx, dt, *(None for _ in options)


def _divisor(reduction: str, input: Tensor) -> float | None:
    return None if reduction == "none" else input._data.size if reduction == "mean" else 1


def _apply(function: PairLoss, *tensors: Tensor | None) -> Tensor:
    """The loss; float16 and bfloat16 compute in float32."""
    input = tensors[0]
    assert input is not None
    if backend.takes(input._data):
        return function.apply(*tensors)  # type: ignore[no-any-return]
    wide = [None if t is None else cast(t, dtypes.float32) for t in tensors]
    return cast(function.apply(*wide), input.dtype)


def broadcast_pair(op: str, input: Tensor, target: Tensor, warned: bool = True) -> tuple[Tensor, Tensor]:
    """Both with their common shape and dtype."""
    if autocast.on:
        input, target = autocast.inputs(op, input, target)
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        check_tensors(op, input=input, target=target)
    a, b = input._data, target._data
    if a.shape == b.shape and a.dtype is b.dtype and backend.takes(a):
        return input, target
    if a.shape != b.shape:
        try:
            shape = np.broadcast_shapes(input.shape, target.shape)
        except ValueError:
            raise ValueError(
                f"{op}: an input of shape {input.shape} and a target of shape {target.shape} do not broadcast"
            ) from None
        if warned:
            warn(
                f"{op}: a target of shape {target.shape} is broadcast against an input of shape {input.shape}, which "
                "is nearly always a mistake; give both the same shape",
                UserWarning,
                stacklevel=3,
            )
        input, target = expand(input, shape), expand(target, shape)
    input, target = operands(input, target)
    if not backend.takes(input._data):
        check_floating(op, input)
    return input, target


def _weighted(
    op: str, losses: Tensor, weight: Tensor, shape: tuple[int, ...], reduction: str, by_weight: bool
) -> Tensor:
    """Weighted losses reduced; a mean is over the weights' sum or over the elements."""
    check_tensors(op, weight=weight)
    if weight.shape != shape:
        raise ValueError(
            f"{op}: got a weight of shape {weight.shape} for an input of shape {shape}, wanted equal shapes"
        )
    losses = losses * weight
    if reduction == "mean" and by_weight:
        return reduce.sum(losses) / reduce.sum(weight)
    return reduced(losses, reduction)


# -- Errors -----------------------------------------------------------------------------------------------------


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared error (x_i - t_i)^2: its mean over all elements (NaN where there are none), its sum, or each.

    Both arguments get gradients. Shapes that differ are broadcast with a warning, for that is nearly always a mistake.
    With `weight`, of the input's shape, the mean is sum_i w_i (x_i - t_i)^2 / sum_i w_i.

    Raises:
        ValueError: the shapes do not fit, or the reduction has another name.
        TypeError: a wrong dtype.

    >>> import tinydl
    >>> from tinydl.nn.functional import mse_loss
    >>> mse_loss(tinydl.tensor([1.0, 2.0]), tinydl.tensor([1.0, 4.0]))
    tensor(2.)
    """
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    x, t = broadcast_pair("mse_loss", input, target)
    if weight is not None:
        return _weighted(
            "mse_loss", _apply(PairLoss("squared_error", None), x, t), weight, input.shape, reduction, True
        )
    return _apply(PairLoss("squared_error", _divisor(reduction, x)), x, t)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute error |x_i - t_i|, whose derivative at 0 is 0; arguments and errors as for `mse_loss`.

    >>> import tinydl
    >>> from tinydl.nn.functional import l1_loss
    >>> l1_loss(tinydl.tensor([1.0, 2.0]), tinydl.tensor([1.0, 4.0]))
    tensor(1.)
    """
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    x, t = broadcast_pair("l1_loss", input, target)
    if weight is not None:
        return _weighted(
            "l1_loss", _apply(PairLoss("absolute_error", None), x, t), weight, input.shape, reduction, True
        )
    return _apply(PairLoss("absolute_error", _divisor(reduction, x)), x, t)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """e^2 / (2 beta) where |e| < beta, else |e| - beta/2, with e = x - t; arguments and errors as for `mse_loss`.

    ValueError for a negative beta; with 0 it is `l1_loss`. (Girshick: Fast R-CNN, 2015.)

    >>> import tinydl
    >>> from tinydl.nn.functional import smooth_l1_loss
    >>> smooth_l1_loss(tinydl.tensor([0.0, 2.0]), tinydl.tensor([1.0, 4.0]), reduction="none")
    tensor([0.5, 1.5])
    """
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: got beta={beta}, wanted 0 or above")
    x, t = broadcast_pair("smooth_l1_loss", input, target)
    kernel = "smooth_l1" if beta else "absolute_error"
    return _apply(PairLoss(kernel, _divisor(reduction, x), float(beta)), x, t)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """e^2 / 2 where |e| <= delta, else delta (|e| - delta/2), with e = x - t; arguments and errors as for `mse_loss`.

    With `weight` a mean is over the elements, not over the weights' sum. ValueError unless delta is positive. (Huber:
    Robust estimation of a location parameter, 1964.)

    >>> import tinydl
    >>> from tinydl.nn.functional import huber_loss
    >>> huber_loss(tinydl.tensor([0.0, 2.0]), tinydl.tensor([1.0, 4.0]), reduction="none", delta=0.5)
    tensor([0.375, 0.875])
    """
    reduction = reduction_of("huber_loss", reduction)
    if not delta > 0:
        raise ValueError(f"huber_loss: got delta={delta}, wanted a positive number")
    x, t = broadcast_pair("huber_loss", input, target)
    if weight is not None:
        losses = _apply(PairLoss("huber", None, float(delta)), x, t)
        return _weighted("huber_loss", losses, weight, input.shape, reduction, False)
    return _apply(PairLoss("huber", _divisor(reduction, x), float(delta)), x, t)


# -- Binary cross-entropy ---------------------------------------------------------------------------------------


def _same_shape(op: str, input: Tensor, target: Tensor) -> None:
    check_tensors(op, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(
            f"{op}: got an input of shape {input.shape} and a target of shape {target.shape}, wanted equal shapes"
        )


def _fits(op: str, name: str, weight: Tensor | None, input: Tensor) -> None:
    check_weight(op, weight)
    if weight is None:
        return
    try:
        np.broadcast_to(weight._data, input.shape)
    except ValueError:
        raise ValueError(f"{op}: {name} of shape {weight.shape} does not broadcast to shape {input.shape}") from None


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w_i (t_i ln x_i + (1 - t_i) ln(1 - x_i)) of probabilities x and t; logarithms are not below -100.

    Args:
        input, target: probabilities in [0, 1] of one shape and dtype; both may get gradients.
        weight: broadcast to the input's shape.
        size_average, reduce: PyTorch's deprecated names for a reduction.
        reduction: "mean" over all elements, "sum" or "none".

    Raises:
        ValueError: the shapes differ, or a value lies outside [0, 1] or is NaN. TypeError: a wrong dtype.

    >>> import tinydl
    >>> from tinydl.nn.functional import binary_cross_entropy
    >>> binary_cross_entropy(tinydl.tensor([1.0, 0.0]), tinydl.tensor([1.0, 1.0]), reduction="sum")
    tensor(100.)
    """
    if autocast.on:
        input, target, weight = autocast.inputs("binary_cross_entropy", input, target, weight)
    op = "binary_cross_entropy"
    reduction = reduction_of(op, reduction, size_average, reduce)
    _same_shape(op, input, target)
    check_floating(op, input, target)
    _fits(op, "a weight", weight, input)
    if input.dtype != target.dtype:
        raise TypeError(f"{op}: got an input of dtype {input.dtype} and a target of dtype {target.dtype}, wanted one")
    for name, tensor in (("input", input), ("target", target)):
        if not backend.of(tensor._data).are_probabilities(cast(tensor.detach(), _kernel_dtype(tensor))._data):
            raise ValueError(f"{op}: all elements of the {name} must lie between 0 and 1")
    return _apply(PairLoss(op, _divisor(reduction, input)), input, target, weight, None)


def _kernel_dtype(tensor: Tensor) -> np.dtype[Any]:
    return tensor._data.dtype if backend.takes(tensor._data) else dtypes.float32


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """w_i (p_i t_i ln(1 + e^-x_i) + (1 - t_i) ln(1 + e^x_i)): the binary cross-entropy of sigmoid(x), without overflow.

    Args:
        input: logits. target: of the same shape, usually in [0, 1]; both may get gradients.
        weight: w, broadcast to the input's shape.
        size_average, reduce: PyTorch's deprecated names for a reduction.
        reduction: "mean" over all elements, "sum" or "none".
        pos_weight: p, the weight of positive targets, broadcast to the input's shape.

    Raises:
        ValueError: the shapes do not fit. TypeError: a wrong dtype.

    >>> import tinydl
    >>> from tinydl.nn.functional import binary_cross_entropy_with_logits
    >>> binary_cross_entropy_with_logits(tinydl.tensor([1000.0, -1000.0]), tinydl.tensor([1.0, 1.0]), reduction="none")
    tensor([   0., 1000.])
    """
    op = "binary_cross_entropy_with_logits"
    if autocast.on:
        input, target, weight, pos_weight = autocast.inputs(op, input, target, weight, pos_weight)
    reduction = reduction_of(op, reduction, size_average, reduce)
    _same_shape(op, input, target)
    check_floating(op, input, target)
    x, t = operands(input, target)
    if weight is None and pos_weight is None:
        return _apply(PairLoss(op, _divisor(reduction, x)), x, t)
    _fits(op, "a weight", weight, x)
    _fits(op, "a pos_weight", pos_weight, x)
    return _apply(PairLoss(op, _divisor(reduction, x)), x, t, weight, pos_weight)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ln(1 + e^(-t_i x_i)) for targets 1 and -1: the logistic loss, without overflow; of equal shapes.

    >>> import tinydl
    >>> tinydl.nn.functional.soft_margin_loss(tinydl.tensor([1000.0, -1000.0]), tinydl.tensor([1, 1]), reduction="none")
    tensor([   0., 1000.])
    """
    if autocast.on:
        input, target = autocast.inputs("soft_margin_loss", input, target)
    reduction = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    _same_shape("soft_margin_loss", input, target)
    check_floating("soft_margin_loss", input)
    x, t = operands(input, target)
    return _apply(PairLoss("soft_margin", _divisor(reduction, x)), x, t)


# -- Divergence -------------------------------------------------------------------------------------------------


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence t_i (ln t_i - x_i) of log-probabilities x from probabilities t (0 at t = 0).

    Args:
        input: logarithms of probabilities. target: probabilities, or their logarithms; both may get gradients, and
            their shapes are broadcast.
        size_average, reduce: PyTorch's deprecated names for a reduction.
        reduction: "batchmean" (the sum over the size of the first axis: the definition), "sum", "none", or "mean" over
            all elements, which warns that "batchmean" is meant.
        log_target: the target holds logarithms t: e^(t_i) (t_i - x_i).

    >>> import tinydl
    >>> x, t = tinydl.tensor([[0.5, 0.5]]).log(), tinydl.tensor([[1.0, 0.0]])
    >>> print(f"{tinydl.nn.functional.kl_div(x, t, reduction='batchmean').item():.4f}")
    0.6931
    """
    x, t = broadcast_pair("kl_div", input, target, warned=False)
    batch = reduction == "batchmean" and size_average is None and reduce is None
    if not batch:
        reduction = reduction_of("kl_div", reduction, size_average, reduce)
        if reduction == "mean" and size_average is None and reduce is None:
            warn(
                "kl_div: reduction='mean' divides by the number of elements; the divergence is reduction='batchmean'",
                UserWarning,
                stacklevel=2,
            )
    divisor = (input.shape[0] if input.ndim else 1) if batch else _divisor(reduction, x)
    return _apply(PairLoss("kl_div_of_logs" if log_target else "kl_div", divisor), x, t)
