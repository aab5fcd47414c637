"""The functions that tests compare with PyTorch's: each entry makes the function from either library."""

from __future__ import annotations

from typing import Any

import numpy as np

INF, NAN = np.inf, np.nan
SPECIAL = (0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.5, -0.5, 2.5, -3.5, 20.5, 100.0, -100.0, 1e-3, INF, -INF, NAN)


def _plain(names: str) -> dict[str, Any]:
    return {name: lambda lib, name=name: getattr(lib, name) for name in names.split()}


def _functional(names: str) -> dict[str, Any]:
    return {f"nn.functional.{name}": lambda lib, name=name: getattr(lib.nn.functional, name) for name in names.split()}


UNARY = {
    **_plain(
        "abs neg positive square reciprocal rsqrt sqrt exp exp2 expm1 log log1p log2 log10 erf erfc logit "
        "sin sinc cos tan asin acos atan sinh cosh tanh asinh acosh atanh deg2rad rad2deg "
        "sign signbit floor ceil round trunc frac isnan isinf isfinite isposinf isneginf nan_to_num "
        "logical_not bitwise_not relu sigmoid selu celu hardshrink"
    ),
    **_functional(
        "elu gelu leaky_relu logsigmoid mish silu softplus softsign tanhshrink hardsigmoid hardswish hardtanh relu6 "
        "softshrink glu"
    ),
    "round to 1 digit": lambda lib: lambda x: lib.round(x, decimals=1),
    "round to tens": lambda lib: lambda x: lib.round(x, decimals=-1),
    "nan_to_num with values": lambda lib: lambda x: lib.nan_to_num(x, 1.0, 2.0, 3.0),
    "clamp below": lambda lib: lambda x: lib.clamp(x, 0.5),
    "clamp above": lambda lib: lambda x: x.clip(max=2),
    "clamp, crossed": lambda lib: lambda x: lib.clamp(x, 3, 1),
    "clamp to NaN": lambda lib: lambda x: lib.clamp(x, 0, NAN),
    **{f"** {p}": lambda lib, p=p: lambda x: x**p for p in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 2.5, True)},
    **{f"{p} **": lambda lib, p=p: lambda x: p**x for p in (0, 1, 2, -1, 0.5, 2.5)},
}

BINARY = {
    **_plain(
        "add sub mul div true_divide pow float_power hypot atan2 xlogy logaddexp maximum minimum fmax fmin remainder "
        "fmod floor_divide eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor "
        "bitwise_left_shift bitwise_right_shift isclose rsub"
    ),
    "div floor": lambda lib: lambda a, b: lib.div(a, b, rounding_mode="floor"),
    "div trunc": lambda lib: lambda a, b: lib.div(a, b, rounding_mode="trunc"),
    "add alpha": lambda lib: lambda a, b: lib.add(a, b, alpha=2),
    "where": lambda lib: lambda a, b: lib.where(lib.tensor([[True], [False]]), a, b),
    "clamp from below": lambda lib: lambda a, b: lib.clamp(a, min=b),
    "clamp from above": lambda lib: lambda a, b: lib.clamp(a, max=b),
    "clamp between": lambda lib: lambda a, b: lib.clamp(a, b, b * b),
    "lerp": lambda lib: lambda a, b: lib.lerp(a, b, 0.3),
    "lerp near the end": lambda lib: lambda a, b: lib.lerp(a, b, 0.7),
    "addcmul": lambda lib: lambda a, b: lib.addcmul(a, b, a, value=2),
    "addcdiv": lambda lib: lambda a, b: lib.addcdiv(a, b, a, value=2),
}

OPERATORS = "truediv floordiv mod pow and_ or_ xor lshift rshift eq ne lt le gt ge"

VALUES = {
    "bool": ([True, False, True, False], [True, True, False, False]),
    "uint8": ([3, 200, 0, 7], [2, 7, 1, 200]),
    "int8": ([-7, -7, 7, 7, 0, -3, 1, -1, -1], [2, -2, 2, -2, 5, -3, -1, -2, -3]),
    "int64": ([-7, -7, 7, 7, 0, -3, 1, -1, -1], [2, -2, 2, -2, 5, -3, -1, -2, -3]),
    "float16": ([0.5, -2, 3, 0.25], [1.5, -2, 0, 0.25]),
    "float32": ([0.5, -2, 3, 0.25], [1.5, -2, 0, 0.25]),
    "float64": ([0.5, -2, 3, 0.25], [1.5, -2, 0, 0.25]),
}
