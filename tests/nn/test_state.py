"""State dicts: values survive the round trip, and a dict that does not fit changes nothing."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn


def build(lib):
    return lib.nn.Sequential(
        lib.nn.Conv2d(2, 4, 3, padding=1),
        lib.nn.ReLU(),
        lib.nn.MaxPool2d(2),
        lib.nn.Flatten(),
        lib.nn.Linear(4 * 3 * 4, 5),
        lib.nn.Tanh(),
        lib.nn.Linear(5, 3, bias=False),
    )


def snapshot(net):
    return {name: np.array(t) for name, t in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_round_trip():
    source, target = build(tinydl), build(tinydl)
    assert not same(snapshot(source), snapshot(target))
    result = target.load_state_dict(source.state_dict())
    assert result == ([], [])
    assert result.missing_keys == []
    assert same(snapshot(source), snapshot(target))


def test_it_copies_in_place():
    net = build(tinydl)
    weight, storage = net[0].weight, net[0].weight._data
    new = {name: np.full(a.shape, 2.0) for name, a in snapshot(net).items()}
    net.load_state_dict(new)
    assert net[0].weight is weight
    assert weight._data is storage
    assert weight.dtype == tinydl.float32
    new["0.weight"][:] = 5
    assert (storage == 2).all()


def test_a_state_dict_is_detached_and_shares_storage():
    net = nn.Linear(2, 2)
    state = net.state_dict()
    assert not any(t.requires_grad or isinstance(t, nn.Parameter) for t in state.values())
    state["bias"].fill_(4)
    assert net.bias.tolist() == [4, 4]
    assert net.state_dict(keep_vars=True)["bias"] is net.bias
    assert list(net.state_dict(prefix="model.")) == ["model.weight", "model.bias"]


def test_loading_counts_as_a_change_for_the_tape():
    net = nn.Linear(2, 2)
    x = tinydl.ones(1, 2).requires_grad_()
    out = net(x).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        out.backward()


def test_missing_and_unexpected_keys_are_listed():
    net = build(tinydl)
    before = snapshot(net)
    state = {name: np.zeros_like(a) for name, a in before.items()}
    del state["0.bias"], state["6.weight"]
    state["extra"] = state["more.bias"] = np.zeros(1)
    with pytest.raises(ValueError, match="loading state_dict for Sequential") as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert 'Missing key(s) in state_dict: "0.bias", "6.weight"' in message
    assert 'Unexpected key(s) in state_dict: "extra", "more.bias"' in message
    assert same(snapshot(net), before)
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["0.bias", "6.weight"]
    assert result.unexpected_keys == ["extra", "more.bias"]
    assert not snapshot(net)["0.weight"].any()
    assert np.array_equal(snapshot(net)["0.bias"], before["0.bias"])


@pytest.mark.parametrize("strict", [True, False])
def test_a_wrong_shape_changes_nothing(strict):
    net = build(tinydl)
    before = snapshot(net)
    state = {name: np.zeros_like(a) for name, a in before.items()}
    state["6.weight"] = np.zeros((3, 6))
    state["4.bias"] = np.zeros(())
    with pytest.raises(ValueError, match="size mismatch") as caught:
        net.load_state_dict(state, strict=strict)
    assert "6.weight: the state dict has shape (3, 6), the model (3, 5)" in str(caught.value)
    assert "4.bias: the state dict has shape (), the model (5,)" in str(caught.value)
    assert same(snapshot(net), before)


@pytest.mark.parametrize("value", ["text", np.array(["a", "b"]), [[1], [2, 3]], np.array([1j, 2]), None])
def test_values_that_are_no_numbers_change_nothing(value):
    net = nn.Linear(2, 2)
    before = snapshot(net)
    with pytest.raises(TypeError, match="load_state_dict: bias"):
        net.load_state_dict({"weight": np.zeros((2, 2)), "bias": value})
    assert same(snapshot(net), before)


def test_read_only_parameters_change_nothing():
    net = nn.Linear(2, 2)
    before = snapshot(net)
    net.bias._data.flags.writeable = False
    with pytest.raises(ValueError, match="bias is read-only"):
        net.load_state_dict({"weight": np.zeros((2, 2)), "bias": np.zeros(2)})
    assert same(snapshot(net), before)


def test_not_a_mapping():
    with pytest.raises(TypeError, match="got list, wanted a mapping"):
        nn.Linear(1, 1).load_state_dict([])


def test_buffers_are_state():
    net = nn.Module()
    net.register_buffer("mean", tinydl.zeros(2))
    net.register_buffer("steps", tinydl.tensor(0))
    net.register_buffer("scratch", tinydl.zeros(2), persistent=False)
    assert list(net.state_dict()) == ["mean", "steps"]
    net.load_state_dict({"mean": [1.0, 2.0], "steps": 3})
    assert net.mean.tolist() == [1, 2]
    assert net.steps.item() == 3


def test_pytorch_state_dicts_give_the_same_outputs_and_gradients(torch, rng):
    theirs, ours = build(torch), build(tinydl)
    ours.load_state_dict(theirs.state_dict())
    x, upstream = normal(rng, (3, 2, 6, 8)), normal(rng, (3, 3))
    a = torch.tensor(x, requires_grad=True)
    b = tinydl.tensor(x, requires_grad=True)
    (theirs(a) * torch.tensor(upstream)).sum().backward()
    (ours(b) * tinydl.tensor(upstream)).sum().backward()
    assert_close(ours(b), theirs(a).detach(), "gradient", length=48, scale=1.0)
    assert_close(b.grad, a.grad, "gradient", length=48, scale=1.0)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad, "gradient", length=48 * 3, scale=max(1.0, q.grad.abs().max().item())), name


def test_pytorch_loads_ours(torch):
    theirs, ours = build(torch), build(tinydl)
    theirs.load_state_dict({name: torch.tensor(np.asarray(t)) for name, t in ours.state_dict().items()})
    assert same({k: v.numpy() for k, v in theirs.state_dict().items()}, snapshot(ours))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_pytorch_tensors_of_other_dtypes(torch, dtype):
    net = nn.Linear(2, 1)
    net.load_state_dict(
        {
            "weight": torch.tensor([[0.5, -2.0]], dtype=getattr(torch, dtype), requires_grad=True),
            "bias": torch.tensor([3]),
        }
    )
    assert net.weight.tolist() == [[0.5, -2.0]]
    assert net.bias.tolist() == [3]
    assert net.weight.dtype == tinydl.float32


def test_assigning_puts_the_given_tensors_in_place():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net[0].bias.requires_grad_(False)
    before = net[0].weight
    state = {name: tinydl.zeros(t.shape, dtype=tinydl.float64) for name, t in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net[0].weight is not before
    assert net[0].weight._data is state["0.weight"]._data
    assert isinstance(net[0].weight, nn.Parameter)
    assert net[0].weight.requires_grad
    assert not net[0].bias.requires_grad
    assert net[1].running_var.dtype == tinydl.float64


def test_a_destination_is_filled():
    out = {"before": 1}
    assert nn.Linear(1, 1).state_dict(destination=out, prefix="fc.") is out
    assert list(out) == ["before", "fc.weight", "fc.bias"]


def test_state_dicts_without_the_count_of_batches_load():
    net = nn.Sequential(nn.BatchNorm1d(2))
    state = net.state_dict()
    del state["0.num_batches_tracked"]
    assert net.load_state_dict(state) == ([], [])
