"""Elementwise operations with broadcasting: operands and their promotion, arithmetic, exponential, logarithm, root."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, dtypes
from ..autograd import Function
from ..tensor import Array, Tensor
from . import autocast
from .casting import Move as Move
from .casting import To as To
from .casting import cast as cast
from .casting import move as move
from .reduce import sum_to

Operand = Tensor | Array | float


# -- Operands ---------------------------------------------------------------------------------------------------


def operands(a: Operand, b: Operand) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of the dtype that PyTorch's promotion gives them."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        x, y = a._data, b._data
        if type(x) is not type(y):
            a, b = _moved(a, b), _moved(b, a)
        if x.dtype is y.dtype:
            return a, b
        dtype = dtypes.result_type(x, y)
        return cast(a, dtype), cast(b, dtype)
    if type(b) is float or type(b) is int:  # the usual case, without the general rules
        if isinstance(a, Tensor) and backend.takes(a._data):
            return a, Tensor(
                np.asarray(b, a._data.dtype) if type(a._data) is np.ndarray else backend.scalar(b, a._data)
            )
    elif (type(a) is float or type(a) is int) and isinstance(b, Tensor) and backend.takes(b._data):
        return Tensor(np.asarray(a, b._data.dtype) if type(b._data) is np.ndarray else backend.scalar(a, b._data)), b
    raw_a = a._data if isinstance(a, Tensor) else a
    raw_b = b._data if isinstance(b, Tensor) else b
    dtype = dtypes.result_type(raw_a, raw_b)
    return _operand(a, dtype, raw_b), _operand(b, dtype, raw_a)


def _moved(value: Tensor, other: Tensor) -> Tensor:
    """A tensor of the CPU without axes on the other's GPU."""
    return move(value, other.device) if not value.ndim and backend.is_on_host(value._data) else value


def _operand(value: Operand, dtype: np.dtype[Any], other: Any) -> Tensor:
    """The operand as a tensor; a number lies where the other operand does."""
    if isinstance(value, Tensor):
        return cast(value, dtype)
    if isinstance(value, np.ndarray | int | float | np.number | np.bool_):
        try:
            array = dtypes.rounded(value, dtype)
        except OverflowError:  # an integer beyond the dtype's range wraps round
            array = np.asarray(value).astype(dtype)
        return Tensor(array if array.ndim or not backend.is_array(other) else backend.scalar(array, other, dtype))
    raise TypeError(f"got an operand of type {type(value).__name__}, wanted a tensor, an array or a number")


def tensor_operands(op: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """`operands` for functions that take no numbers."""
    for value in (a, b):
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: got {type(value).__name__}, wanted a tensor")
    return operands(a, b)


def float_operands(a: Operand, b: Operand) -> tuple[Tensor, Tensor]:
    """`operands` for functions whose result is no integer: two integers become float32."""
    x, y = operands(a, b)
    if dtypes.is_floating_point(x._data.dtype):
        return x, y
    return _operand(a, dtypes.float32, y._data), _operand(b, dtypes.float32, x._data)


# -- Arithmetic -------------------------------------------------------------------------------------------------


def quiet(function: Any, *arrays: Array) -> Array:
    """NumPy's function without its warnings: as in PyTorch, 1/0 is infinity and nothing is printed."""
    with np.errstate(all="ignore"):
        return backend.asarray(function(*arrays))


class Binary(Function):
    """y = f(a, b) with broadcasting: each gradient is summed over the axes along which its input was repeated."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        try:
            y: Array = self.compute(a, b)
        except ValueError as error:
            if not str(error).startswith("operands could not be broadcast"):
                raise
            op = type(self).__name__.lower()  # NumPy's message lacks it
            raise ValueError(f"{op}: shapes {a.shape} and {b.shape} do not broadcast") from None
        self.save_for(a, b, y)
        return y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        return (
            sum_to(self.grad_a(grad), self.shapes[0]) if self.needs[0] else None,
            sum_to(self.grad_b(grad), self.shapes[1]) if self.needs[1] else None,
        )

    def compute(self, a: Array, b: Array) -> Array:
        raise NotImplementedError

    def save_for(self, a: Array, b: Array, y: Array) -> None:
        """Keep what the gradients read: nothing, for sums."""

    def grad_a(self, grad: Array) -> Array:
        return grad

    def grad_b(self, grad: Array) -> Array:
        return grad


class Add(Binary):
    """y = a + b."""

    def compute(self, a: Array, b: Array) -> Array:
        return backend.of(a).add(a, b) if backend.takes(a) else quiet(np.add, a, b)


class Sub(Binary):
    """y = a - b."""

    def compute(self, a: Array, b: Array) -> Array:
        return backend.of(a).sub(a, b) if backend.takes(a) else quiet(np.subtract, a, b)

    def grad_b(self, grad: Array) -> Array:
        return backend.of(grad).neg(grad)  # type: ignore[no-any-return]


class Mul(Binary):
    """y = a b; dy/da = b, dy/db = a."""

    def compute(self, a: Array, b: Array) -> Array:
        return backend.of(a).mul(a, b) if backend.takes(a) else quiet(np.multiply, a, b)

    def save_for(self, a: Array, b: Array, y: Array) -> None:
        self.save(a if self.needs[1] else None, b if self.needs[0] else None)

    def grad_a(self, grad: Array) -> Array:
        return backend.of(grad).mul(grad, self.saved[1])  # type: ignore[no-any-return]

    def grad_b(self, grad: Array) -> Array:
        return backend.of(grad).mul(grad, self.saved[0])  # type: ignore[no-any-return]


class Div(Binary):
    """y = a / b; dy/da = 1/b, dy/db = -a/b^2 = -y/b."""

    def compute(self, a: Array, b: Array) -> Array:
        return backend.of(a).div(a, b) if backend.takes(a) else quiet(np.divide, a, b)

    def save_for(self, a: Array, b: Array, y: Array) -> None:
        self.save(b, y if self.needs[1] else None)

    def grad_a(self, grad: Array) -> Array:
        return backend.of(grad).div(grad, self.saved[0])  # type: ignore[no-any-return]

    def grad_b(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        b, y = self.saved
        return kernels.neg(kernels.mul(kernels.div(grad, b), y))  # type: ignore[no-any-return]


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """y = input + alpha other, with broadcasting and type promotion.

    >>> import tinydl
    >>> tinydl.add(tinydl.tensor([1.0, 2.0]), tinydl.tensor([[10.0], [20.0]]))
    tensor([[11., 12.],
            [21., 22.]])
    """
    a, b = operands(input, other)
    return apply_binary(Add, a, b if alpha == 1 else _scaled("add", b, alpha))


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """y = input - alpha other, with broadcasting and type promotion."""
    a, b = operands(input, other)
    if (a is not input or b is not other or a._data.dtype.char == "?") and (_is_bool(input) or _is_bool(other)):
        raise TypeError("sub: got a bool, which has no difference; use ~ or logical_xor")
    return apply_binary(Sub, a, b if alpha == 1 else _scaled("sub", b, alpha))


def _is_bool(value: Operand) -> bool:
    return value._data.dtype.char == "?" if isinstance(value, Tensor) else isinstance(value, bool)


def _scaled(op: str, value: Tensor, alpha: float) -> Tensor:
    if not isinstance(alpha, int | float | np.number):
        raise TypeError(f"{op}: got alpha of type {type(alpha).__name__}, wanted a number")
    if value._data.dtype.kind in "iub" and not isinstance(alpha, int):
        raise TypeError(f"{op}: got alpha={alpha} for integers, wanted an integer")
    return mul(value, Tensor(backend.scalar(alpha, value._data)))


def mul(input: Operand, other: Operand) -> Tensor:
    """y = input other, elementwise, with broadcasting and type promotion."""
    a, b = operands(input, other)
    if a._data.dtype.itemsize == 2:
        return _apply_to_16_bits(Mul, a, b, input, other)
    return Mul().apply(a, b)  # type: ignore[no-any-return]


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """y = input / other with broadcasting; integers divide to float32.

    With rounding_mode="trunc" or "floor" the quotient is rounded towards zero or down, and integers stay integers.

    >>> import tinydl
    >>> tinydl.div(tinydl.tensor([1, 2]), 4)
    tensor([0.25, 0.5 ])
    """
    if rounding_mode is not None:
        from .rounding import rounded_div

        return rounded_div(input, other, rounding_mode)
    a, b = float_operands(input, other)
    if a._data.dtype.itemsize == 2:
        return _apply_to_16_bits(Div, a, b, input, other)
    return Div().apply(a, b)  # type: ignore[no-any-return]


def _apply_to_16_bits(function: type[Binary], a: Tensor, b: Tensor, input: Operand, other: Operand) -> Tensor:
    """`apply_binary` of the operands a and b, with a number among what was given as float32 has it, as in PyTorch.

    So float16, which ends at 65504, can be multiplied by 65536.
    """
    number = input if isinstance(other, Tensor) else other
    dtype = a._data.dtype
    if isinstance(number, int | float | np.number) and dtypes.is_floating_point(dtype):
        exact = dtypes.rounded(number, dtypes.float32)
        if dtypes.rounded(exact, dtype).astype(np.float32) != exact:
            wide = Tensor(backend.scalar(exact, a._data, np.float32))
            x, y = (wide if given is number else cast(t, dtypes.float32) for t, given in ((a, input), (b, other)))
            return cast(function().apply(x, y), dtype)
    return apply_binary(function, a, b)


def apply_binary(function: type[Binary], a: Tensor, b: Tensor) -> Tensor:
    """The function of two tensors of one dtype; float16 and bfloat16 compute in float32."""
    if is_half(a):
        return cast(function().apply(cast(a, dtypes.float32), cast(b, dtypes.float32)), a.dtype)
    return function().apply(a, b)  # type: ignore[no-any-return]


def is_half(input: Tensor) -> bool:
    """Whether the dtype is float16 or bfloat16, which the CPU's kernels do not compute in."""
    return not backend.takes(input._data) and dtypes.is_floating_point(input._data.dtype)


def true_divide(input: Operand, other: Operand) -> Tensor:
    """y = input / other: `div` without a rounding mode."""
    return div(input, other)


def rsub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """y = other - alpha input: `sub` with its operands exchanged."""
    if not isinstance(input, Tensor):
        raise TypeError(f"rsub: got {type(input).__name__}, wanted a tensor")
    return sub(other, input, alpha=alpha)


def swapped(op: Any) -> Any:
    """The operator that Python calls on the right operand: swapped(op)(a, b) = op(b, a)."""
    return lambda self, other: op(other, self)


rdiv = swapped(div)
subtract, multiply, divide = sub, mul, div


# -- Functions of one tensor ------------------------------------------------------------------------------------


class Unary(Function):
    """y = f(x); subclasses name the kernel."""

    kernel: str

    def forward(self, x: Array) -> Array:
        y: Array = getattr(backend.of(x), self.kernel)(x)
        self.save_for(x, y)
        return y

    def save_for(self, x: Array, y: Array) -> None:
        self.save(y)


class Neg(Unary):
    """y = -x."""

    kernel = "neg"

    def save_for(self, x: Array, y: Array) -> None:
        pass

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).neg(grad)  # type: ignore[no-any-return]


class Abs(Unary):
    """y = |x|; dy/dx = sign x, 0 at 0."""

    kernel = "abs"

    def save_for(self, x: Array, y: Array) -> None:
        self.save(x)

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).abs_backward(grad, self.saved[0])  # type: ignore[no-any-return]


class Exp(Unary):
    """y = e^x; dy/dx = y."""

    kernel = "exp"

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).mul(grad, self.saved[0])  # type: ignore[no-any-return]


class Log(Unary):
    """y = ln x; dy/dx = 1/x."""

    kernel = "log"

    def save_for(self, x: Array, y: Array) -> None:
        self.save(x)

    def backward(self, grad: Array) -> Array:
        return backend.of(grad).div(grad, self.saved[0])  # type: ignore[no-any-return]


class Sqrt(Unary):
    """y = x^(1/2); dy/dx = 1/(2y)."""

    kernel = "sqrt"

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        half = kernels.mul(grad, backend.scalar(0.5, grad))
        return kernels.div(half, self.saved[0])  # type: ignore[no-any-return]


class Erf(Unary):
    """y = erf x; dy/dx = 2/sqrt(pi) e^(-x^2)."""

    kernel = "erf"

    def save_for(self, x: Array, y: Array) -> None:
        self.save(x)

    def backward(self, grad: Array) -> Array:
        kernels = backend.of(grad)
        (x,) = self.saved
        bell = kernels.exp(kernels.neg(kernels.mul(x, x)))
        return kernels.mul(grad, kernels.mul(bell, backend.scalar(2 / np.sqrt(np.pi), grad)))  # type: ignore[no-any-return]


def apply_float(op: str, function: Function, input: Tensor) -> Tensor:
    """The function of a tensor: integers become float32, float16 and bfloat16 compute in it."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: got {type(input).__name__}, wanted a tensor")
    if autocast.on:
        (input,) = autocast.inputs(op, input)
    if backend.takes(input._data):
        return function.apply(input)  # type: ignore[no-any-return]
    wide: Tensor = function.apply(cast(input, dtypes.float32))
    return cast(wide, input.dtype) if is_half(input) else wide


def refuse_bool(op: str, input: Tensor) -> None:
    """TypeError for bool tensors, which have no arithmetic."""
    if input._data.dtype.char == "?":
        raise TypeError(f"{op}: got a bool tensor, wanted numbers")


def neg(input: Tensor) -> Tensor:
    """y = -x."""
    if input._data.dtype.kind in "iub":
        refuse_bool("neg", input)
        return Tensor(backend.asarray(-input._data))
    return apply_float("neg", Neg(), input)


def positive(input: Tensor) -> Tensor:
    """The tensor itself; TypeError for bools."""
    refuse_bool("positive", input)
    return input


def abs(input: Tensor) -> Tensor:
    """y = |x|, elementwise; the gradient at 0 is 0.

    >>> import tinydl
    >>> tinydl.abs(tinydl.tensor([-1.5, 2.0]))
    tensor([1.5, 2. ])
    """
    if input._data.dtype.kind in "iub":
        refuse_bool("abs", input)
        return Tensor(backend.asarray(np.abs(input._data)))
    return apply_float("abs", Abs(), input)


negative, absolute = neg, abs


def exp(input: Tensor) -> Tensor:
    """y = e^x, elementwise.

    >>> import tinydl
    >>> tinydl.exp(tinydl.tensor([0.0, 1.0]))
    tensor([1.       , 2.7182817])
    """
    return apply_float("exp", Exp(), input)


def log(input: Tensor) -> Tensor:
    """y = ln x, elementwise; -inf at 0, NaN below."""
    return apply_float("log", Log(), input)


def sqrt(input: Tensor) -> Tensor:
    """y = x^(1/2), elementwise; NaN below 0."""
    return apply_float("sqrt", Sqrt(), input)


def erf(input: Tensor) -> Tensor:
    """The error function y = 2/sqrt(pi) integral_0^x e^(-t^2) dt, elementwise."""
    return apply_float("erf", Erf(), input)
