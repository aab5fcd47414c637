"""Every public operation on a GPU: the CPU's values, dtypes and gradients, on the device of the inputs."""

from __future__ import annotations

import ast
import functools
import inspect
import operator
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tinydl
import tinydl.nn.functional as F
from tests.support.compare import assert_close
from tinydl import backend, linalg, nn, optim

from .calls import CALLS
from .exceptions import EXCEPTIONS
from .expressions import inputs

LENGTH = 32  # no sum of the calls is longer by much

SYMBOLS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "truediv",
    "**": "pow",
    "%": "mod",
    "//": "floordiv",
    "&": "and",
    "|": "or",
    "^": "xor",
    "<<": "lshift",
    ">>": "rshift",
}


# -- What the expressions call --------------------------------------------------------------------------------------


def changed(x: Any, symbol: str, other: Any) -> Any:
    """x after `x += other` and its kind."""
    return getattr(operator, f"i{SYMBOLS[symbol[:-1]]}")(x, other)


def put(x: Any, key: Any, value: Any) -> Any:
    """x after x[key] = value."""
    x[key] = value
    return x


def like(x: Any, name: str) -> Any:
    """The tensor, but of what is not initialised only the shape, the dtype and the device."""
    return x * 0 == 1 if name.startswith("empty") else x


def with_hook(x: Any) -> Any:
    """x, whose gradient is doubled on the way."""
    x.register_hook(lambda grad: grad * 2)
    x.retain_grad()
    return x


def clipped(function: Any, x: Any, *args: Any) -> Any:
    """The gradient of a copy after it was clipped."""
    leaf = x.detach().clone().requires_grad_()
    (leaf * leaf).sum().backward()
    function([leaf], *args)
    return leaf.grad


def stepped(optimizer: Any, x: Any, **options: Any) -> Any:
    """A copy after two steps, and the optimiser's state."""
    leaf = nn.Parameter(x.detach().clone())
    steps = optimizer([leaf], **options)
    for _ in range(2):
        leaf.grad = None
        (leaf * leaf).sum().backward()
        steps.step()
    return leaf.detach(), [value for value in steps.state[leaf].values() if isinstance(value, tinydl.Tensor)]


# -- One call ---------------------------------------------------------------------------------------------------


def flat(value: Any) -> Iterator[Any]:
    """The parts of a result, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, nn.utils.rnn.PackedSequence):
        value = [value.data, value.batch_sizes.tolist()]
    if isinstance(value, tuple | list):
        for part in value:
            yield from flat(part)
    else:
        yield value


def space(device: str, dtype: Any, layers: list[Any]) -> dict[str, Any]:
    """The names in the expressions; `dtype` is that of the inputs that have float32 otherwise."""

    def on(layer: Any) -> Any:
        layers.append(layer.to(device))
        return layers[-1]

    tensors = {
        name: tinydl.tensor(
            array.astype(dtype) if array.dtype == np.float32 else array,
            device=device,
            requires_grad=array.dtype.kind == "f",
        )
        for name, array in inputs().items()
    }
    tinydl.manual_seed(7)
    names = {"m": tinydl, "F": F, "L": linalg, "D": device, "on": on, "cpu": tinydl.ones(2, 3)}
    return {**globals(), **names, **tensors}


def outcome(case: str, device: str, dtype: Any = np.float32) -> tuple[list[Any], dict[str, Any]]:
    """The parts of the result on a device, and the gradients by the names of inputs and parameters."""
    layers: list[Any] = []
    names = space(device, dtype, layers)
    parts = list(flat(eval(case, names)))
    rng = np.random.default_rng(1)
    total: Any = 0
    for part in parts:
        if isinstance(part, tinydl.Tensor) and part.requires_grad:
            upstream = rng.standard_normal(part.shape).astype(np.float64)
            total = total + (part.to(tinydl.float64) * tinydl.tensor(upstream, device=device)).sum()
    if isinstance(total, tinydl.Tensor):
        total.backward()
    leaves = {name: names[name] for name in inputs()}
    leaves |= {f"{n} {name}": p for n, layer in enumerate(layers) for name, p in layer.named_parameters()}
    return parts, {name: t.grad for name, t in leaves.items() if t.grad is not None}


def compare(got: Any, expected: Any, device: str, what: str) -> None:
    """Equal kinds, dtypes and values, and the device."""
    if not isinstance(expected, tinydl.Tensor):
        assert got == expected or got == pytest.approx(expected, rel=1e-5), what
        return
    assert isinstance(got, tinydl.Tensor), what
    assert got.device == device, f"{what} lies on {got.device}"
    assert got.dtype == expected.dtype, what
    assert got.requires_grad == expected.requires_grad, what
    assert type(got._data) is not type(expected._data), what
    a, b = backend.to_host(got._data), expected.detach().numpy()
    if a.dtype.kind in "fV":
        wide = b.astype(np.float64)
        scale = np.abs(wide[np.isfinite(wide)]).max(initial=1e-3)
        assert_close(a, b, "gradient", length=LENGTH, scale=scale)
    else:
        np.testing.assert_array_equal(a, b, err_msg=what, strict=True)


@pytest.fixture
def device(gpu_kernels):
    return {"emulated": "cuda-emulated", "cuda": "cuda:0"}[gpu_kernels.device]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CALLS)
def test_as_on_the_cpu(case, device):
    agree(outcome(case, device), outcome(case, "cpu"), device)


def agree(got: Any, expected: Any, device: str) -> None:
    """Equal results and gradients, on the device."""
    assert len(got[0]) == len(expected[0])
    for a, b in zip(got[0], expected[0], strict=True):
        compare(a, b, device, "the result")
    assert got[1].keys() == expected[1].keys(), "which gradients there are"
    for name, grad in expected[1].items():
        compare(got[1][name], grad, device, f"the gradient of {name}")


# Where the CPU computes in float32 what a GPU computes in 16 bits.
WIDER = (
    "m.nan_to_num(special)",  # infinities become float32's largest number, which is infinite in float16
    "weight=m.tensor",  # weights of float32 beside 16-bit logits
)


DTYPES = [np.float16, ml_dtypes.bfloat16, np.float64]


def in_other_dtypes() -> Iterator[Any]:
    """Each call in one of the dtypes, and where there is time in the others too."""
    for n, case in enumerate(case for case in CALLS if not any(part in case for part in WIDER)):
        for dtype in DTYPES:
            marks = [] if dtype is DTYPES[n % len(DTYPES)] else pytest.mark.slow
            yield pytest.param(case, dtype, marks=marks, id=f"{dtype.__name__}-{case}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("case", "dtype"), list(in_other_dtypes()))
def test_other_dtypes(case, dtype, device):
    """What the CPU computes in 16 or 64 bits, a GPU does as well."""
    try:
        expected = outcome(case, "cpu", dtype)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return
    agree(outcome(case, device, dtype), expected, device)


# -- No operation is forgotten ----------------------------------------------------------------------------------

SPACES = {
    "": tinydl,
    "Tensor.": tinydl.Tensor,
    "nn.functional.": F,
    "nn.": nn,
    "nn.init.": nn.init,
    "nn.utils.": nn.utils,
    "linalg.": linalg,
    "optim.": optim,
}
ALIASES = {"m": "", "F": "nn.functional", "L": "linalg"}


def path_of(node: ast.AST) -> str:
    """The dotted name of an expression, "" where it is none."""
    if isinstance(node, ast.Name):
        return ALIASES.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = path_of(node.value)
        return f"{before}.{node.attr}" if before else node.attr if path_is_main(node.value) else ""
    return ""


def path_is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "m"


def named(case: str) -> Iterator[Any]:
    """The functions and classes that an expression names, and the methods of whatever it names them of."""
    for node in ast.walk(ast.parse(case)):
        if isinstance(node, ast.Attribute):
            found = functools.reduce(lambda at, part: getattr(at, part, None), path_of(node).split("."), tinydl)
            yield getattr(tinydl.Tensor, node.attr, None) if found is None else found
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield getattr(tinydl.Tensor, f"__{node.func.id}__", None)


def public(space: Any) -> Iterator[tuple[str, Any]]:
    """What can be called in a module or class of ours."""
    for name in getattr(space, "__all__", None) or [name for name in dir(space) if not name.startswith("_")]:
        thing = getattr(space, name)
        if callable(thing) and (getattr(thing, "__module__", None) or "").startswith("tinydl"):
            yield name, thing


def identity(thing: Any) -> Any:
    """The same for a function under all its names, another for its form in place."""
    return id(inspect.unwrap(thing)), getattr(thing, "__name__", None)


def test_every_public_operation_is_called():
    called = {identity(thing) for case in CALLS for thing in named(case) if callable(thing)}
    found = [(prefix + name, thing) for prefix, space in SPACES.items() for name, thing in public(space)]
    missing = {name for name, thing in found if identity(thing) not in called}
    excused = {name for names in EXCEPTIONS.values() for name in names.split()}
    assert missing - excused == set(), "neither called nor excused"
    assert excused - missing == set(), "excused, but called or gone"
