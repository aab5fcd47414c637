"""The optimisers against PyTorch's: numbers, states, signatures."""

import inspect

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl
from tests.optimizer.pair import CASES, CLASSES, Pair, each_case
from tests.support.compare import assert_close
from tinydl import optim
from tinydl.optim import SGD


@pytest.fixture
def torch_in(torch):
    """Sets PyTorch's default dtype, in which it keeps the numbers of its states."""
    before = torch.get_default_dtype()
    yield lambda dtype: torch.set_default_dtype(torch.float64 if dtype == np.float64 else torch.float32)
    torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_case
def test_twenty_steps_equal_torch(torch, torch_in, rng, cls, options, dtype):
    torch_in(dtype)
    pair = Pair(torch, rng, dtype)
    ours, theirs = cls(pair.ours, **options), getattr(torch.optim, cls.__name__)(pair.theirs, **options)
    for step in range(20):
        pair.give_gradients(skip={0: (1,), 7: (0, 2), 8: (1,)}.get(step, ()))
        ours.step()
        theirs.step()
        pair.compare()


UNIT = st.floats(0.05, 0.95)
DRAWN = {
    "lr": st.floats(1e-3, 0.3),
    "momentum": st.floats(0, 0.95),
    "dampening": UNIT,
    "weight_decay": st.floats(0, 0.3),
    "betas": st.tuples(UNIT, UNIT),
    "eps": st.floats(1e-6, 0.1),
    "amsgrad": st.booleans(),
    "decoupled_weight_decay": st.booleans(),
    "momentum_decay": st.floats(0, 1),
    "lr_decay": st.floats(0, 0.5),
    "initial_accumulator_value": st.floats(0, 1),
    "alpha": st.floats(0.5, 0.95),
    "centered": st.booleans(),
    "rho": UNIT,
    "lambd": st.floats(0, 0.3),
    "t0": st.integers(0, 30),
    "etas": st.tuples(UNIT, st.floats(1.1, 2)),
    "step_sizes": st.tuples(st.floats(1e-3, 1e-2), st.floats(0.1, 1)),
    "maximize": st.booleans(),
}


@pytest.mark.parametrize("cls", CLASSES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_twenty_steps_with_drawn_options_equal_torch(torch, cls, data):
    names = [name for name in inspect.signature(cls).parameters if name in DRAWN]
    options = {name: data.draw(DRAWN[name]) for name in names}
    torch.set_default_dtype(torch.float64)
    try:
        pair = Pair(torch, np.random.default_rng(data.draw(st.integers(0, 99))), np.float64)
        ours, theirs = cls(pair.ours, **options), getattr(torch.optim, cls.__name__)(pair.theirs, **options)
        for _ in range(20):
            pair.give_gradients()
            ours.step()
            theirs.step()
        pair.compare(steps=20)
    finally:
        torch.set_default_dtype(torch.float32)


def test_groups_and_schedules_equal_torch(torch, rng):
    pair = Pair(torch, rng, np.float32)
    made = []
    for params, cls in ((pair.ours, SGD), (pair.theirs, torch.optim.SGD)):
        optimizer = cls([{"params": params[:1], "lr": 0.5, "momentum": 0.9}, {"params": params[1:3]}], lr=0.1)
        optimizer.add_param_group({"params": params[3], "weight_decay": 0.3})
        made.append(optimizer)
    for step in range(6):
        pair.give_gradients()
        for optimizer in made:
            optimizer.param_groups[1]["lr"] = 0.1 / (step + 1)
            optimizer.param_groups[0]["momentum"] = 0.9 - step / 10
            optimizer.step()
        pair.compare()


def to_torch(torch, value):
    if isinstance(value, tinydl.Tensor):
        return torch.from_numpy(value.numpy().copy())
    if isinstance(value, dict):
        return {key: to_torch(torch, item) for key, item in value.items()}
    return [to_torch(torch, item) for item in value] if isinstance(value, list) else value


@each_case
def test_state_goes_to_torch_and_comes_back(torch, rng, cls, options):
    """Ten steps there, ten here and ten there again are the thirty steps that PyTorch takes alone."""
    pair = Pair(torch, rng, np.float32)
    alone = [p.detach().clone().requires_grad_() for p in pair.theirs]
    torch_cls = getattr(torch.optim, cls.__name__)
    whole, ours, theirs = torch_cls(alone, **options), cls(pair.ours, lr=9.0), torch_cls(pair.theirs, **options)

    def run(optimizer):
        for _ in range(10):
            pair.give_gradients()
            for p, q in zip(pair.theirs, alone, strict=True):
                q.grad = p.grad.clone()
            whole.step()
            optimizer.step()

    run(theirs)
    for p, q in zip(pair.ours, pair.theirs, strict=True):
        p._data[...] = q.detach().numpy()
    ours.load_state_dict(theirs.state_dict())
    run(ours)
    pair.theirs = [torch.tensor(p.detach().numpy().copy(), requires_grad=True) for p in pair.ours]
    theirs = torch_cls(pair.theirs, lr=9.0)
    theirs.load_state_dict(to_torch(torch, ours.state_dict()))
    run(theirs)
    for p, q in zip(pair.theirs, alone, strict=True):
        assert_close(p.detach().numpy(), q.detach().numpy(), "optimizer", scale=4 + np.abs(q.detach().numpy()))


def test_state_dict_has_the_format_of_torch(torch, rng):
    pair = Pair(torch, rng, np.float32)
    pair.give_gradients()
    for cls, options in CASES:
        ours, theirs = cls(pair.ours, **options), getattr(torch.optim, cls.__name__)(pair.theirs, **options)
        ours.step()
        theirs.step()
        got, wanted = ours.state_dict(), theirs.state_dict()
        assert got["param_groups"] == wanted["param_groups"]
        for number, state in got["state"].items():
            other = {key: value for key, value in wanted["state"][number].items() if value is not None}
            assert {k: v.shape for k, v in state.items()} == {k: tuple(v.shape) for k, v in other.items()}
            assert "step" not in state or state["step"].item() == other["step"].item() == 1


@pytest.mark.parametrize("name", sorted(set(optim.__all__) - {"Optimizer", "lr_scheduler", "swa_utils"}))
def test_signatures_are_those_of_torch(torch, name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (optim, torch.optim))
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


def test_printed_form(torch):
    p = tinydl.ones(3, requires_grad=True)
    assert str(SGD([p], lr=0.5)) == str(torch.optim.SGD([torch.ones(3)], lr=0.5))
