"""Tensors: creation, conversion, shapes, indexing; each method declared and attached."""

import ast
import inspect
import operator
import sys
import types
import weakref
from pathlib import Path

import numpy as np
import pytest

import tinydl
from tinydl import ops
from tinydl.autograd import gradcheck
from tinydl.tensor import Tensor


def test_creation_dtypes_equal_torch(torch):
    for data in (1, 1.5, True, [1, 2], [1.0, 2], [True], [[1.5], [2.5]], np.arange(3, dtype=np.int16), np.ones(2)):
        got, expected = tinydl.tensor(data), torch.tensor(data)
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
        assert got.tolist() == expected.tolist()
        assert got.shape == tuple(expected.shape)


def test_tensor_copies_and_from_numpy_shares():
    array = np.zeros(3, np.float32)
    copy, shared = tinydl.tensor(array), tinydl.from_numpy(array)
    array[0] = 5
    assert copy.tolist() == [0, 0, 0]
    assert shared.tolist() == [5, 0, 0]
    assert tinydl.as_tensor(shared) is shared


def test_foreign_byte_orders_and_misaligned_memory_are_copied():
    swapped = np.arange(3, dtype=">f4")
    packed = np.zeros(3, np.dtype([("a", "u1"), ("b", "<f4")]))["b"]
    for array in (swapped, packed):
        x = tinydl.from_numpy(array)
        assert x.dtype == np.dtype("=f4")
        assert (x + x).tolist() == (array + array).tolist()


def test_wrong_data():
    with pytest.raises(ValueError, match="no regular shape"):
        tinydl.tensor([[1, 2], [3]])
    with pytest.raises(TypeError, match="wanted numbers"):
        tinydl.tensor(["a"])
    with pytest.raises(ValueError, match="device 'cuda' is not available"):
        tinydl.tensor([1.0], device="cuda")
    with pytest.raises(TypeError, match=r"wanted a numpy\.ndarray"):
        tinydl.from_numpy([1.0])


def test_fills_and_ranges(torch):
    assert tinydl.zeros(2, 3).shape == tinydl.zeros((2, 3)).shape == (2, 3)
    assert tinydl.ones(2, dtype=tinydl.float64).tolist() == [1, 1]
    assert tinydl.full((2,), 7).dtype == np.int64
    assert tinydl.full((2, 2), 0.5).tolist() == [[0.5, 0.5]] * 2
    assert tinydl.zeros_like(tinydl.ones(2, 1)).tolist() == [[0], [0]]
    for args in ((5,), (1, 7, 2), (0.0, 1.0, 0.25), (5, 1, -2)):
        got, expected = tinydl.arange(*args), torch.arange(*args)
        assert got.tolist() == expected.tolist()
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")


def test_out_of_the_tensor():
    x = tinydl.tensor([[1.5, 2.5]])
    assert np.asarray(x).tolist() == [[1.5, 2.5]]
    assert x[0, 1].item() == float(x[0, 1]) == 2.5
    assert int(tinydl.tensor(3)) == 3
    assert [10, 20, 30][tinydl.tensor(1)] == 20
    assert len(x) == 1
    assert [row.tolist() for row in x] == [[1.5, 2.5]]
    assert f"{x[0, 0]:.3f}" == "1.500"
    with pytest.raises(ValueError, match="wanted one element"):
        x.item()
    with pytest.raises(RuntimeError, match="detach"):
        tinydl.ones(2, requires_grad=True).numpy()
    with pytest.raises(TypeError, match="without axes"):
        len(tinydl.tensor(1))


def test_repr():
    assert repr(tinydl.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(tinydl.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tinydl.tensor([1.0], requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert repr(tinydl.tensor([1.0], dtype="float64")) == "tensor([1.], dtype=float64)"
    assert repr(tinydl.ones(1, requires_grad=True) * 2) == "tensor([2.], grad_fn=<Mul>)"


def test_numpy_on_the_left():
    out = np.ones(3, np.float32) * tinydl.full((3,), 2.0)
    assert isinstance(out, Tensor)
    assert out.tolist() == [2, 2, 2]


@pytest.mark.parametrize("op", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge])
def test_comparisons(op):
    a, b = np.array([1.0, 2, np.nan], np.float32), np.array([2.0, 2, 2], np.float32)
    assert op(tinydl.tensor(a), tinydl.tensor(b)).tolist() == op(a, b).tolist()
    assert op(tinydl.tensor(a), 2).tolist() == op(a, 2).tolist()


SHAPE_CALLS = {
    "reshape": lambda x: x.reshape(3, -1),
    "view": lambda x: x.view((4, 6)),
    "flatten": lambda x: x.flatten(1),
    "flatten middle": lambda x: x.flatten(0, 1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "squeeze all": lambda x: x[:1, :, :1].squeeze(),
    "expand": lambda x: x[:, :1].expand(-1, 5, 4),
    "slice": lambda x: x[1:, ::2, -1],
    "reversed": lambda x: x.contiguous(),
    "none and ellipsis": lambda x: x[..., None, 1],
    "list of indices": lambda x: x[[0, 1, 0]],
    "mask": lambda x: x[x.detach() > 0],
    "clone": lambda x: x.clone(),
}


@pytest.mark.parametrize("name", SHAPE_CALLS)
def test_shapes_and_their_gradients(name, torch, rng):
    array = rng.standard_normal((2, 3, 4))
    gradcheck(SHAPE_CALLS[name], [tinydl.tensor(array, requires_grad=True)])
    expected = SHAPE_CALLS[name](torch.tensor(array))
    got = SHAPE_CALLS[name](tinydl.tensor(array))
    assert got.shape == tuple(expected.shape)
    assert got.tolist() == expected.tolist()


def test_index_with_tensors(rng):
    x = tinydl.tensor(rng.standard_normal((5, 3)), requires_grad=True)
    rows = tinydl.tensor([4, 0, 4])
    gradcheck(lambda t: t[rows], [x])
    gradcheck(lambda t: t[rows, tinydl.tensor([0, 1, 0])], [x])
    assert x[tinydl.tensor(2)].shape == (3,)


def test_assignment():
    x = tinydl.zeros(3, 2)
    x[1] = 5
    x[0, 1] = tinydl.tensor(7.0)
    x[tinydl.tensor([2])] = tinydl.tensor([[1.0, 2.0]])
    assert x.tolist() == [[0, 7], [5, 5], [1, 2]]


def test_wrong_shapes():
    x = tinydl.ones(2, 3)
    with pytest.raises(ValueError, match=r"shape \(2, 3\) cannot take the shape \(4, 2\)"):
        x.reshape(4, 2)
    with pytest.raises(TypeError, match="wanted integers"):
        x.reshape(2.0, 3)
    with pytest.raises(IndexError, match="dim 2 is out of range"):
        x.transpose(0, 2)
    with pytest.raises(ValueError, match="comes after"):
        x.flatten(1, 0)
    with pytest.raises(ValueError, match="cannot take the shape"):
        x.expand(4, 3)
    with pytest.raises(ValueError, match="got 1 axes"):
        x.permute(0)
    with pytest.raises(IndexError):
        x[5]


def test_views_share_storage_and_versions():
    x = tinydl.zeros(2, 3)
    y = x.t().reshape(3, 2)
    y[0, 0] = 4
    assert x.tolist()[0][0] == 4
    assert y._version is x._version
    assert x.t().reshape(6)._version is not x._version


def test_casts():
    x = tinydl.tensor([1.7, -2.3], requires_grad=True)
    assert x.long().tolist() == [1, -2]
    assert not x.long().requires_grad
    assert x.float() is x
    assert x.to("float64").to("cpu").dtype == np.float64
    x.double().sum().backward()
    assert x.grad.dtype == np.float32


def declared():
    """Method names and their parameters as tensor.pyi declares them."""
    tree = ast.parse((Path(tinydl.__file__).parent / "tensor.pyi").read_text())
    out = {}
    for node in (node for cls in tree.body if isinstance(cls, ast.ClassDef) for node in cls.body):
        if isinstance(node, ast.FunctionDef):
            args = node.args
            out[node.name] = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)][1:]
    return out


def test_the_stub_declares_what_is_attached():
    names = declared()
    missing = set(ops.METHODS) - set(names)
    assert not missing, f"tensor.pyi lacks {missing}"
    own = {name for name, value in vars(Tensor).items() if callable(value) or isinstance(value, property)}
    assert set(names) <= own | {"__init__"}, f"tensor.pyi declares {set(names) - own}, which no tensor has"


@pytest.mark.parametrize("name", [n for n, m in ops.METHODS.items() if not n.startswith("__") and callable(m)])
def test_the_stub_has_the_parameters(name):
    parameters = [
        p.name
        for p in list(inspect.signature(ops.METHODS[name]).parameters.values())[1:]
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    assert declared()[name] == parameters


def test_to_names_what_is_missing():
    x = tinydl.ones(2)
    assert x.to("cpu") is x
    assert x.to("cpu", "float64").dtype == "float64"
    with pytest.raises(ValueError, match="device 'cuda:99' is not available"):
        x.to("cuda:99")
    with pytest.raises(TypeError, match="to: got 'float65', wanted a dtype or a device"):
        x.to("float65")


def test_repeated_elements_cannot_be_changed_in_place():
    wide = tinydl.ones(3).expand(2, 3)
    for change in (lambda: wide.add_(1), lambda: wide.fill_(2.0), lambda: wide.__setitem__(0, 5.0)):
        with pytest.raises(
            ValueError, match=r"shape \(2, 3\) cannot be changed in place: .* expand\(\); change a clone"
        ):
            change()


def test_the_class_makes_tensors_as_pytorchs_does(torch):
    for data in ([1, 2], [[1.5], [2.5]], (3, 4), [], [True]):
        got, expected = tinydl.Tensor(data), torch.Tensor(data)
        assert (got.tolist(), got.dtype) == (expected.tolist(), tinydl.float32)
    x = tinydl.ones(2)
    y = tinydl.Tensor(x)
    y += 1
    assert x.tolist() == [2, 2]
    for wrong in (3, 2.5, "a", None, {1: 2}, range(3)):
        with pytest.raises(TypeError, match=r"Tensor: got .*, wanted an array or a list"):
            tinydl.Tensor(wrong)


def test_a_gradient_that_does_not_fit_is_refused():
    w = tinydl.ones(2, 3, requires_grad=True)
    for wrong, error, message in (
        (5, TypeError, "grad: got int, wanted a tensor or None"),
        (np.ones((2, 3)), TypeError, "grad: got ndarray"),
        (tinydl.ones(3, 2), ValueError, r"grad: got shape \(3, 2\) for a tensor of shape \(2, 3\)"),
        (tinydl.ones(2, 3, dtype=tinydl.float64), TypeError, "grad: got dtype float64 for a tensor of dtype float32"),
        (w, ValueError, "grad: a tensor cannot be its own gradient"),
    ):
        with pytest.raises(error, match=message):
            w.grad = wrong
        assert w.grad is None
    w.grad = fits = tinydl.zeros(2, 3)
    assert w.grad is fits
    w.sum().backward()
    assert w.grad is fits
    assert fits.tolist() == [[1, 1, 1]] * 2
    w.grad = None
    assert w.grad is None


def test_no_array_of_a_tensor_that_requires_a_gradient():
    w = tinydl.ones(2, requires_grad=True)
    for make in (np.array, np.asarray, np.exp, lambda t: np.add(np.ones(2), t)):
        with pytest.raises(RuntimeError, match=r"call detach\(\)"):
            make(w)
    assert np.array(w.detach()).tolist() == [1, 1]
    assert (np.ones(2) + w).requires_grad


def test_a_failed_allocation_tells_the_size():
    huge = tinydl.ones(1).expand(1 << 45)
    with pytest.raises(MemoryError, match=rf"{1 << 47} bytes for an array of shape \({1 << 45},\) and dtype float32"):
        tinydl.relu(huge)
    rows, columns = tinydl.ones(1, 1).expand(1 << 40, 1), tinydl.ones(1, 1).expand(1, 1 << 40)
    with pytest.raises(MemoryError, match="more bytes than can be counted for an array of shape"):
        tinydl.add(rows, columns)
    assert tinydl.ones(2).sum().item() == 2


def test_the_books_of_many_views_are_not_read_for_each(monkeypatch):
    """Each view is on the books of the storage it shares; reading them through for every one would take n^2 steps."""
    read = 0

    class Counted(weakref.ref):
        def __call__(self):
            nonlocal read
            read += 1
            return super().__call__()

    monkeypatch.setattr(sys.modules["tinydl.tensor"], "weakref", types.SimpleNamespace(ref=Counted))
    x = tinydl.zeros(4000, 1)
    views = [*x.split(1), *x]
    assert len(views) == 8000
    assert 0 < read <= 2 * len(views)
    monkeypatch.undo()
    x = tinydl.zeros(3)
    assert len(tinydl.tensor_split(x, 40000)) == 40000
