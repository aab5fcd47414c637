"""Where tensors lie: operands on two devices, layers made on a GPU, numbers and names of devices, files."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest

import tinydl
import tinydl.nn.functional as F
from tinydl import backend, cuda, nn

from .calls import CALLS


@pytest.fixture
def device(gpu_kernels):
    return {"emulated": "cuda-emulated", "cuda": "cuda:0"}[gpu_kernels.device]


def constructors():
    """The layers of the calls that can be made on a device, as they are made there."""
    for case in CALLS:
        for node in ast.walk(ast.parse(case)):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            layer = getattr(nn, name, None)
            if inspect.isclass(layer) and "device" in inspect.signature(layer).parameters:
                yield ast.unparse(node)


@pytest.mark.parametrize("made", dict.fromkeys(constructors()))
def test_layers_are_made_on_a_device(made, device):
    there, here = (
        eval(f"{made[:-1]}{'' if made[-2] == '(' else ', '}device={where!r})", {"nn": nn, "m": tinydl})
        for where in (device, "cpu")
        if tinydl.manual_seed(0)
    )
    state, expected = there.state_dict(), here.state_dict()
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        assert state[name].device == device, name
        assert np.array_equal(state[name].cpu().numpy(), tensor.numpy()), name


def test_there_are_such_layers():
    names = {name for name in dir(nn) if inspect.isclass(getattr(nn, name)) and not name.startswith("_")}
    names = {name for name in names if "device" in inspect.signature(getattr(nn, name)).parameters}
    made = {
        node.func.attr for text in constructors() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)
    }
    assert names - {"RNNBase", "RNNCellBase"} <= made


TWO = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b.T,
    "linear": F.linear,
    "eq": lambda a, b: a == b,
    "lt": lambda a, b: a < b.double(),
    "logical_and": tinydl.logical_and,
    "bitwise_and": lambda a, b: a.long() & b.long(),
    "maximum": tinydl.maximum,
    "pow": lambda a, b: a**b,
    "where": lambda a, b: tinydl.where(a > 0, a, b),
    "where ": lambda a, b: tinydl.where(a > 0, b, b),
    "cat": lambda a, b: tinydl.cat([a, b]),
    "stack": lambda a, b: tinydl.stack([a, b]),
    "softmaxcrossentropy": lambda a, b: F.cross_entropy(a, b.argmax(1)),
    "mse": F.mse_loss,
    "embedding": lambda a, b: F.embedding(a.long(), b),
    "gather": lambda a, b: a.gather(1, b.long()),
    "take": lambda a, b: a.index_select(1, b[0].long()),
    "layernorm": lambda a, b: F.layer_norm(a, (3,), b[0]),
    "clamptensor": lambda a, b: a.clamp(b),
    "lerp": lambda a, b: a.lerp(b, 0.5),
    "addmm": lambda a, b: tinydl.addmm(a, b, b[:, :3].T @ b),
    "masked_fill": lambda a, b: a.masked_fill(b > 0, 0),
    "add_": lambda a, b: a.add_(b),
    "searchsorted": lambda a, b: tinydl.searchsorted(a, b),
    "isin": tinydl.isin,
    "dropout": lambda a, b: F.dropout(a, 0.5) * b,
    "sum_of_both": lambda a, b: (a.sum(0) + b.sum(0)).sum(),
}


@pytest.mark.parametrize("name", TWO)
def test_two_devices_are_refused(name, device):
    a, b = tinydl.ones(3, 3), tinydl.ones(3, 3, device=device)
    for first, second in ((a, b), (b, a)):
        with pytest.raises(RuntimeError, match=rf"\w+: got tensors on 'cpu' and '{b.device}', wanted one device"):
            TWO[name](first, second)


ONE = {
    "add": lambda x, s: x + s,
    "radd": lambda x, s: s + x,
    "mul": lambda x, s: x * s,
    "rdiv": lambda x, s: s / x,
    "pow": lambda x, s: x**s,
    "gt": lambda x, s: (x > s).float() * x,
    "rlt": lambda x, s: (s < x).float() * x,
    "maximum": lambda x, s: tinydl.maximum(x, s),
    "where": lambda x, s: tinydl.where(x > 1, x, s),
    "clamp": lambda x, s: x.clamp(s),
    "masked_fill": lambda x, s: x.masked_fill(x > 1, s),
    "iadd": lambda x, s: (x * 1).add_(s),
    "setitem": lambda x, s: (x * 1).index_put_((tinydl.tensor([0], device=x.device),), s),
    "lerp": lambda x, s: x.lerp(x * 2, s),
    "atan2": tinydl.atan2,
    "logical": lambda x, s: tinydl.logical_and(x, s) * x,
}


@pytest.mark.parametrize("name", ONE)
def test_tensors_without_axes_may_lie_on_the_cpu(name, device):
    found = []
    for where in (device, "cpu"):
        x = tinydl.tensor([0.5, 1.5], device=where, requires_grad=True)
        s = tinydl.tensor(1.25, requires_grad=True)
        y = ONE[name](x, s)
        assert y.device == where
        y.sum().backward()
        assert x.grad.device == where
        assert s.grad is None or s.grad.device == "cpu"
        found.append([y.tolist(), x.grad.tolist(), None if s.grad is None else s.grad.item()])
    np.testing.assert_allclose(*([*f[0], *f[1], f[2] or 0.0] for f in found), rtol=1e-6)


def test_a_tensor_is_filled_by_one_of_another_device(device):
    for here, there in ((device, "cpu"), ("cpu", device)):
        x = tinydl.ones(2, dtype="float64", device=here)
        assert x.fill_(tinydl.tensor(0.25, device=there)) is x
        assert x.device == here
        assert x.tolist() == [0.25, 0.25]
        with pytest.raises(RuntimeError, match="wanted one device"):
            x.fill_(tinydl.ones(2, device=there))


def test_indices_masks_and_values_may_lie_on_the_cpu(device):
    x = tinydl.arange(6.0, device=device).reshape(2, 3)
    assert x[tinydl.tensor([1])].tolist() == [[3, 4, 5]]
    assert x[tinydl.tensor([[True, False, False], [False, False, True]])].tolist() == [0, 5]
    x[0] = tinydl.tensor([7.0, 8.0, 9.0])
    x[:, np.array([1])] = np.float32([[1], [2]])
    assert x.tolist() == [[7, 1, 9], [3, 2, 5]]
    assert x.device == device


def test_gradients_of_another_device_are_refused(device):
    p = nn.Parameter(tinydl.ones(2, device=device))
    with pytest.raises(RuntimeError, match=f"grad: got a tensor on 'cpu' as the gradient of one on '{device}'"):
        p.grad = tinydl.ones(2)
    p.grad = tinydl.ones(2, device=device)
    assert p.grad.device == device
    with pytest.raises(RuntimeError, match="backward: got tensors on 'cpu' and"):
        (p * 2).backward(tinydl.ones(2))


def test_gpus_by_number(device, monkeypatch):
    """0 and "cuda:0" name the first GPU, as in PyTorch; without one, both are refused alike."""
    x = tinydl.ones(2)
    calls = [
        lambda: x.to(0),
        lambda: x.to(device=0),
        lambda: x.cuda(0),
        lambda: x.cuda(),
        lambda: nn.Linear(2, 1).to(0),
        lambda: nn.Linear(2, 1).cuda(0),
        lambda: tinydl.ones(2, device=0),
        lambda: tinydl.tensor([1.0], device=0),
    ]
    for call in calls:
        if tinydl.cuda.is_available():
            made = call()
            assert (made if isinstance(made, tinydl.Tensor) else made.weight).device == "cuda:0"
        else:
            with pytest.raises(ValueError, match=r"device 'cuda(:0)?' is not available: "):
                call()
    assert backend.located(1) == "cuda:1"


def test_files_are_loaded_onto_a_device(device, tmp_path):
    tinydl.save({"w": tinydl.ones(2), "more": [tinydl.zeros(1)]}, tmp_path / "a")
    for where in (
        device,
        tinydl.device(device),
        {"cpu": device},
        lambda tensor, location: tensor.to(device) if location == "cpu" else tensor,
    ):
        state = tinydl.load(tmp_path / "a", map_location=where)
        assert [state["w"].device, state["more"][0].device] == [device, device]
    for where in (None, "cpu", {device: "cpu"}, lambda tensor, location: None):
        assert tinydl.load(tmp_path / "a", map_location=where)["w"].device == "cpu"
    with pytest.raises(TypeError, match="load: map_location returned int, wanted a tensor or None"):
        tinydl.load(tmp_path / "a", map_location=lambda tensor, location: 1)


def test_constants_are_copied_once(device):
    """A number beside a GPU's tensor makes no new array in each step."""
    x = tinydl.ones(2, device=device)
    cuda._constant.cache_clear()
    for _ in range(3):
        assert ((x + 1.5) * 2 > 0.25).all()
    assert cuda._constant.cache_info().misses == 3
