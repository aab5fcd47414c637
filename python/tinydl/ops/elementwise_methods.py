"""The tensor's methods and operators of the elementwise family, and their in-place forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor
from . import (
    activation,
    bounds,
    comparison,
    elementwise,
    exponential,
    logical,
    piecewise,
    powers,
    rounding,
    selection,
    trigonometry,
    weighted,
)
from .elementwise import swapped
from .inplace import in_place

Method = Callable[..., Any]

# Methods by the names of their functions.
_PLAIN: dict[Any, str] = {
    elementwise: "add sub subtract mul multiply div divide true_divide neg negative positive abs "
    "absolute exp log sqrt erf",
    powers: "pow float_power square reciprocal rsqrt hypot",
    exponential: "exp2 expm1 log1p log2 log10 erfc logit xlogy logaddexp",
    trigonometry: "sin sinc cos tan asin acos atan sinh cosh asinh acosh atanh atan2 deg2rad rad2deg "
    "arcsin arccos arctan arcsinh arccosh arctanh arctan2",
    rounding: "sign sgn signbit heaviside floor ceil trunc fix round frac floor_divide remainder fmod",
    bounds: "maximum minimum fmax fmin clamp clamp_min clamp_max clip",
    weighted: "lerp addcmul addcdiv",
    comparison: "eq ne lt le gt ge not_equal less less_equal greater greater_equal "
    "isnan isinf isfinite isposinf isneginf isclose allclose equal",
    logical: "logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not "
    "bitwise_left_shift bitwise_right_shift",
    selection: "nan_to_num",
    activation: "relu sigmoid tanh prelu",
    piecewise: "hardshrink",
}

# Those of them that have no in-place form.
_FRESH = [
    "positive",
    "signbit",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "logaddexp",
    "prelu",
    "hardshrink",
    "isnan",
    "isinf",
    "isfinite",
    "isposinf",
    "isneginf",
    "isclose",
    "allclose",
    "equal",
]

_OPERATORS: dict[str, Method] = {
    "add": elementwise.add,
    "sub": elementwise.sub,
    "mul": elementwise.mul,
    "truediv": elementwise.div,
    "floordiv": rounding.floor_divide,
    "mod": rounding.remainder,
    "pow": powers.pow,
    "and": logical.bitwise_and,
    "or": logical.bitwise_or,
    "xor": logical.bitwise_xor,
    "lshift": logical.bitwise_left_shift,
    "rshift": logical.bitwise_right_shift,
}


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of `other`."""
    return elementwise.cast(self, other.dtype)


def _bfloat16(self: Tensor) -> Tensor:
    """The tensor in bfloat16."""
    return elementwise.cast(self, dtypes.bfloat16())


def _cast_to(dtype: Any) -> Method:
    return lambda self: elementwise.cast(self, np.dtype(dtype))


def _operators() -> dict[str, Method]:
    out: dict[str, Method] = {}
    for name, function in _OPERATORS.items():
        out[f"__{name}__"] = function
        out[f"__r{name}__"] = swapped(function)
        out[f"__i{name}__"] = in_place(function, f"{function.__name__}_")
    return out


def _methods() -> dict[str, Method]:
    out: dict[str, Method] = {}
    for module, names in _PLAIN.items():
        for name in names.split():
            out[name] = getattr(module, name)
            if name not in _FRESH:
                out[f"{name}_"] = in_place(out[name], f"{name}_")
    return out


METHODS: dict[str, Method] = {
    **_methods(),
    **_operators(),
    "__neg__": elementwise.neg,
    "__pos__": elementwise.positive,
    "__abs__": elementwise.abs,
    "__invert__": logical.bitwise_not,
    "__eq__": comparison.as_operator(comparison.eq),
    "__ne__": comparison.as_operator(comparison.ne),
    "__lt__": comparison.as_operator(comparison.lt),
    "__le__": comparison.as_operator(comparison.le),
    "__gt__": comparison.as_operator(comparison.gt),
    "__ge__": comparison.as_operator(comparison.ge),
    "where": selection.where_method,
    "type_as": type_as,
    "float": _cast_to("float32"),
    "double": _cast_to("float64"),
    "half": _cast_to("float16"),
    "bfloat16": _bfloat16,
    "bool": _cast_to("bool"),
    "byte": _cast_to("uint8"),
    "char": _cast_to("int8"),
    "short": _cast_to("int16"),
    "int": _cast_to("int32"),
    "long": _cast_to("int64"),
}
