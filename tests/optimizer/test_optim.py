"""The optimisers: groups, state, hooks, and wrong calls."""

import numpy as np
import pytest

import tinydl
from tests.optimizer.pair import CLASSES, each_case, parameters
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import optim
from tinydl.optim import SGD, Adam


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
    p.grad = tinydl.ones(3)
    p.data = tinydl.ones(2)
    with pytest.raises(ValueError, match=r"sgd_step: grads\[0\] has shape"):
        optimizer.step()
    p.data = tinydl.ones(3)
    optimizer.step()
    assert p.detach().tolist() == [0, 0, 0]


def test_named_parameters_and_engine_options(torch):
    made = []
    for lib, module in ((tinydl, optim), (torch, torch.optim)):
        params = [("w", lib.ones(2, requires_grad=True)), ("b", lib.ones(1, requires_grad=True))]
        made.append(module.Adam(params, foreach=False, fused=True).state_dict()["param_groups"])
    assert made[0] == made[1]
    p = tinydl.ones(2, requires_grad=True)
    assert Adam([p], capturable=True).param_groups[0]["capturable"]
    with pytest.raises(ValueError, match="SGD: differentiable=True is not available: a step changes"):
        SGD([p], differentiable=True)
    with pytest.raises(ValueError, match="SGD: some parameters have names and some have none"):
        SGD([("w", p), tinydl.ones(2, requires_grad=True)])
    with pytest.raises(TypeError, match="SGD: params is a set"):
        SGD([{"params": {p}}])


def test_hooks():
    p = tinydl.tensor([3.0], requires_grad=True)
    optimizer = SGD([p], lr=0.1)
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", p.item(), args))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", p.item(), args))),
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving")),
        optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append(state["more"])),
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    p.grad = tinydl.tensor([10.0])
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [("before", 3.0, ()), ("after", 2.0, ()), "saving", 1, "loaded"]
    replace = optimizer.register_step_pre_hook(lambda o, args, kwargs: ((lambda: "loss",), {}))
    assert optimizer.step() == "loss"
    replace.remove()
    for handle in handles:
        handle.remove()
    seen.clear()
    optimizer.step()
    assert "more" not in optimizer.state_dict()
    assert not seen
    with optimizer.register_step_pre_hook(lambda o, args, kwargs: 5), pytest.raises(TypeError, match="a step_pre_hook"):
        optimizer.step()


def test_a_subclass_with_its_own_step():
    class SignDescent(optim.Optimizer):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p._data -= group["lr"] * np.sign(p.grad.numpy())

    p = tinydl.tensor([3.0], requires_grad=True)
    optimizer = SignDescent([p], {"lr": 0.5})
    p.grad = tinydl.tensor([10.0])
    optimizer.step()
    assert p.tolist() == [2.5]


# -- Wrong calls ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
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
    with pytest.raises(ValueError, match=f"{name}: parameter 0 is read-only, or repeats elements"):
        cls([tinydl.ones(1).expand(3).requires_grad_()])
    p.grad = tinydl.ones(3)
    p.data = tinydl.ones(3, dtype=tinydl.float64)
    with pytest.raises(TypeError, match=f"{name}: a parameter of dtype float64 has a gradient of float32"):
        cls([p]).step()


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_in_any_layout_are_updated_in_place(cls, rng):
    start, grads = normal(rng, (2, 3, 4, 5)), normal(rng, (4, 2, 3, 4, 5))
    ends = []
    for _, view in layouts(start):
        p = tinydl.Tensor(view, requires_grad=True)
        optimizer = cls([p], lr=0.1)
        for grad in grads:
            p.grad = tinydl.tensor(grad)
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
        assert p._data is view
        ends.append(view.copy())
    assert all(np.array_equal(end, ends[0]) for end in ends)
    assert not np.array_equal(ends[0], start)


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
        (optim.NAdam, {"momentum_decay": -1}, "NAdam: got momentum_decay = -1"),
        (optim.RAdam, {"betas": (-0.1, 0.9)}, "RAdam: got betas"),
        (optim.Adamax, {"eps": -1}, "Adamax: got eps = -1"),
        (optim.Adagrad, {"lr_decay": -1}, "Adagrad: got lr_decay = -1"),
        (optim.RMSprop, {"alpha": -1}, "RMSprop: got alpha = -1"),
        (optim.Adadelta, {"rho": 1.5}, "Adadelta: got rho = 1.5, wanted a number from 0 to 1"),
        (optim.ASGD, {"weight_decay": -1}, "ASGD: got weight_decay = -1"),
        (optim.Rprop, {"etas": (0.5, 0.9)}, r"Rprop: got etas = \(0.5, 0.9\), wanted one below 1"),
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
