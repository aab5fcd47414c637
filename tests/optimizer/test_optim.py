"""The optimisers: the same numbers as PyTorch's, groups, state, and wrong calls."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl.optim import SGD, Adam

SHAPES = [(4, 3, 5, 5), (7,), (), (33, 17)]
CASES = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "maximize": True}),
    (SGD, {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    (Adam, {}),
    (Adam, {"lr": 0.1, "betas": (0.8, 0.95)}),
    (Adam, {"lr": 0.1, "weight_decay": 0.05, "eps": 1e-3}),
    (Adam, {"lr": 0.1, "maximize": True}),
    (Adam, {"lr": 0.1, "amsgrad": True, "betas": (0.9, 0.7)}),
]
IDS = [f"{cls.__name__}-{'-'.join(options) or 'defaults'}" for cls, options in CASES]
each_case = pytest.mark.parametrize(("cls", "options"), CASES, ids=IDS)


def parameters(rng, dtype=np.float32):
    return [tinydl.tensor(normal(rng, shape, dtype), requires_grad=True) for shape in SHAPES]


def give_gradients(rng, params, dtype=np.float32):
    for p in params:
        p.grad = tinydl.tensor(normal(rng, p.shape, dtype))


class Pair:
    """The same parameters in both libraries, with the same gradients."""

    def __init__(self, torch, rng, dtype):
        self.torch, self.rng, self.dtype = torch, rng, dtype
        self.ours = parameters(rng, dtype)
        self.theirs = [torch.tensor(p.detach().numpy().copy(), requires_grad=True) for p in self.ours]

    def give_gradients(self, skip=()):
        give_gradients(self.rng, self.ours, self.dtype)
        for k, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            q.grad = self.torch.from_numpy(p.grad.numpy().copy())
            if k in skip:
                p.grad = q.grad = None

    def compare(self):
        """Rounding errors add up over the steps, relative to values of about 1."""
        for p, q in zip(self.ours, self.theirs, strict=True):
            assert_close(p, q.detach().numpy(), "optimizer", scale=2 + np.abs(q.detach().numpy()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_case
def test_twenty_steps_equal_torch(torch, rng, cls, options, dtype):
    pair = Pair(torch, rng, dtype)
    ours, theirs = cls(pair.ours, **options), getattr(torch.optim, cls.__name__)(pair.theirs, **options)
    for step in range(20):
        pair.give_gradients(skip={0: (1,), 7: (0, 2), 8: (1,)}.get(step, ()))
        ours.step()
        theirs.step()
        pair.compare()


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
    pair = Pair(torch, rng, np.float32)
    torch_cls = getattr(torch.optim, cls.__name__)
    ours = cls(pair.ours, **options)
    for _ in range(3):
        pair.give_gradients()
        ours.step()
    for p, q in zip(pair.ours, pair.theirs, strict=True):
        q.data.copy_(torch.from_numpy(p.detach().numpy()))
    theirs = torch_cls(pair.theirs, lr=9.0)
    theirs.load_state_dict(to_torch(torch, ours.state_dict()))
    for _ in range(3):
        pair.give_gradients()
        ours.step()
        theirs.step()
    pair.compare()
    again = cls(pair.ours, lr=9.0)
    again.load_state_dict(theirs.state_dict())
    for _ in range(3):
        pair.give_gradients()
        again.step()
        theirs.step()
    pair.compare()


@each_case
def test_a_restored_optimizer_continues_bit_for_bit(rng, cls, options):
    first = parameters(rng)
    optimizer = cls(first, **options)
    gradients = [[normal(rng, p.shape) for p in first] for _ in range(6)]

    def train(optimizer, params, batches):
        for batch in batches:
            for p, g in zip(params, batch, strict=True):
                p.grad = tinydl.tensor(g)
            optimizer.step()

    train(optimizer, first, gradients[:3])
    second = [p.detach().clone().requires_grad_() for p in first]
    restored = cls(second, lr=7.0)
    restored.load_state_dict(optimizer.state_dict())
    train(optimizer, first, gradients[3:])
    train(restored, second, gradients[3:])
    for p, q in zip(first, second, strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())


def test_loaded_state_takes_the_parameters_layout_and_dtype(rng):
    image = normal(rng, (4, 5, 6, 3)).transpose(0, 3, 1, 2)
    p = tinydl.tensor(image, requires_grad=True)
    optimizer = Adam([p])
    saved = {
        "state": {0: {"step": np.float32(4), "exp_avg": np.ones(p.shape), "exp_avg_sq": np.ones(p.shape)}},
        "param_groups": [{**optimizer.state_dict()["param_groups"][0], "lr": 0.25}],
    }
    optimizer.load_state_dict(saved)
    state = optimizer.state[p]
    assert (state["step"], optimizer.param_groups[0]["lr"]) == (4, 0.25)
    assert state["exp_avg"].dtype == np.float32
    assert state["exp_avg"].stride() == p.stride()
    p.grad = tinydl.tensor(normal(rng, p.shape))
    optimizer.step()
    assert state["step"] == 5


def test_state_dict_has_the_format_of_torch(torch, rng):
    pair = Pair(torch, rng, np.float32)
    pair.give_gradients()
    for cls, options in CASES:
        ours, theirs = cls(pair.ours, **options), getattr(torch.optim, cls.__name__)(pair.theirs, **options)
        ours.step()
        theirs.step()
        got, wanted = ours.state_dict(), theirs.state_dict()
        for group, other in zip(got["param_groups"], wanted["param_groups"], strict=True):
            assert group == {key: other[key] for key in group}
        for number, state in got["state"].items():
            assert state.keys() == wanted["state"][number].keys()


def test_a_step_counts_up_the_version(rng):
    p = tinydl.tensor([1.0, 2.0], requires_grad=True)
    loss = (p * p).sum()
    p.grad = tinydl.ones(2)
    SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_parameters_without_a_gradient_are_skipped(rng):
    params = parameters(rng)
    before = [p.detach().numpy().copy() for p in params]
    params[2].grad = tinydl.tensor(normal(rng, params[2].shape))
    optimizer = Adam(params, lr=0.1)
    optimizer.step()
    changed = [not np.array_equal(b, p.detach().numpy()) for b, p in zip(before, params, strict=True)]
    assert changed == [False, False, True, False]
    assert [p._version[0] for p in params] == [0, 0, 1, 0]
    assert [p in optimizer.state for p in params] == changed


def test_mixed_dtypes(rng):
    single, double = parameters(rng)[3], parameters(rng, np.float64)[3]
    for p in (single, double):
        p.grad = tinydl.ones(*p.shape, dtype=p.dtype)
    expected = [p.detach().numpy().astype(np.float64) - 0.5 for p in (single, double)]
    SGD([single, double], lr=0.5).step()
    for p, wanted in zip((single, double), expected, strict=True):
        assert_close(p, wanted, "optimizer", scale=1 + np.abs(wanted))


def test_closure_and_zero_grad():
    p = tinydl.tensor([3.0], requires_grad=True)
    optimizer = SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tinydl.no_grad():
        assert optimizer.step(closure).item() == 9
    assert_close(p, np.array([2.4]), "optimizer")
    assert p.grad.tolist() == [6]
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0]
    optimizer.zero_grad()
    assert p.grad is None
    assert optimizer.step() is None


def test_a_failed_step_leaves_no_momentum_behind():
    p = tinydl.ones(3, requires_grad=True)
    optimizer = SGD([p], lr=1.0, momentum=0.5, dampening=0.5)
    p.grad = tinydl.ones(2)
    with pytest.raises(ValueError, match=r"sgd_step: grads\[0\] has shape"):
        optimizer.step()
    p.grad = tinydl.ones(3)
    optimizer.step()
    assert p.detach().tolist() == [0, 0, 0]


# -- Wrong calls ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SGD, Adam])
def test_wrong_parameters(cls):
    p = tinydl.ones(3, requires_grad=True)
    name = cls.__name__
    with pytest.raises(ValueError, match=f"{name}: got an empty list of parameters"):
        cls([])
    with pytest.raises(TypeError, match=f"{name}: params is a Tensor, wanted a list"):
        cls(p)
    with pytest.raises(TypeError, match=f"{name}: parameter 1 is a float, wanted a tensor"):
        cls([p, 1.0])
    with pytest.raises(ValueError, match=f"{name}: parameter 0 was made by an operation"):
        cls([p * 2])
    with pytest.raises(ValueError, match=f"{name}: parameter 1 appears twice"):
        cls([p, p])
    with pytest.raises(ValueError, match=f"{name}: parameter 0 appears twice"):
        cls([{"params": [p]}, {"params": [p]}])
    with pytest.raises(TypeError, match=f'{name}: a parameter group must be a dict with the key "params"'):
        cls([{"lr": 0.1}])
    p.grad = tinydl.ones(3, dtype=tinydl.float64)
    with pytest.raises(TypeError, match=f"{name}: a parameter of dtype float32 has a gradient of float64"):
        cls([p]).step()


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (SGD, {"lr": -0.1}, "SGD: got lr = -0.1, wanted at least 0 and a finite number"),
        (SGD, {"lr": float("nan")}, "SGD: got lr = nan"),
        (SGD, {"momentum": -1}, "SGD: got momentum = -1"),
        (SGD, {"weight_decay": -1}, "SGD: got weight_decay = -1"),
        (SGD, {"nesterov": True}, "SGD: nesterov needs a momentum above 0 and no dampening"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "SGD: nesterov needs"),
        (Adam, {"lr": float("inf")}, "Adam: got lr = inf"),
        (Adam, {"eps": -1}, "Adam: got eps = -1"),
        (Adam, {"betas": (0.9, 1.0)}, r"Adam: got betas = \(0.9, 1.0\), wanted two numbers"),
        (Adam, {"betas": (0.9,)}, "Adam: got betas"),
        (Adam, {"weight_decay": -1}, "Adam: got weight_decay = -1"),
    ],
)
def test_wrong_hyperparameters(cls, options, message):
    p = tinydl.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match=message):
        cls([p], **options)
    with pytest.raises(ValueError, match=message):
        cls([{"params": [p], **options}])
    optimizer = cls([p])
    optimizer.param_groups[0].update(options)
    with pytest.raises(ValueError, match=message):
        optimizer.step()


def test_wrong_state():
    p, q = tinydl.ones(3, requires_grad=True), tinydl.ones(2, requires_grad=True)
    optimizer = SGD([p, q], lr=0.5, momentum=0.9)
    saved = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"load_state_dict: got groups of \[2\] parameters, wanted \[1\]"):
        SGD([p]).load_state_dict(saved)
    wrong = {"state": {1: {"momentum_buffer": tinydl.ones(3)}}, "param_groups": saved["param_groups"]}
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 1 has shape \(3,\), wanted \(2,\)"):
        optimizer.load_state_dict(wrong)
    with pytest.raises(ValueError, match="got state for parameter 5, which no group has"):
        optimizer.load_state_dict({**saved, "state": {5: {}}})
    negative = [{**saved["param_groups"][0], "lr": -1.0}]
    with pytest.raises(ValueError, match="SGD: got lr"):
        optimizer.load_state_dict({"state": {0: {"momentum_buffer": tinydl.ones(3)}}, "param_groups": negative})
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert not optimizer.state


def test_printed_form():
    optimizer = SGD([tinydl.ones(3, requires_grad=True)], lr=0.5)
    assert str(optimizer).splitlines()[:4] == [
        "SGD (",
        "Parameter Group 0",
        "    dampening: 0",
        "    lr: 0.5",
    ]
