"""The schedules against PyTorch's: rates, momentum, states, warnings; and wrong calls."""

import inspect
import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl
from tests.support.compare import assert_close
from tinydl import optim
from tinydl.optim import lr_scheduler
from tinydl.train import checkpoint


class Halving:
    """A function with a state."""

    def __init__(self):
        self.power = 1

    def __call__(self, epoch):
        return 0.5 ** (self.power * epoch)


CASES = [
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (1 + epoch), Halving()]}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.95}),
    ("MultiplicativeLR", {"lr_lambda": [lambda epoch: 0.9, lambda epoch: 1.1]}),
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 1, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 11]}),
    ("MultiStepLR", {"milestones": [0, 7], "gamma": 0.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 1}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 12}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 15, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3}),
    ("CyclicLR", {"base_lr": [0.1, 0.2], "max_lr": 1.0, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4, "scale_fn": Halving(), "base_momentum": 0.5}),
    (
        "CyclicLR",
        {
            "base_lr": 0.1,
            "max_lr": 1.0,
            "step_size_up": 4,
            "scale_fn": lambda x: 1 / (1 + x),
            "scale_mode": "iterations",
            "cycle_momentum": False,
        },
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 25}),
    ("OneCycleLR", {"max_lr": [1.0, 0.5], "epochs": 5, "steps_per_epoch": 6, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30, "three_phase": True, "pct_start": 0.4, "div_factor": 10.0}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30, "cycle_momentum": False, "final_div_factor": 10.0}),
]
each_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name}-{'-'.join(options) or 'defaults'}" for name, options in CASES]
)


class Sides:
    """Optimizers of two groups in both libraries, with a schedule made for each."""

    def __init__(self, torch, make, cls="SGD", **options):
        self.libraries = [(tinydl, optim, lr_scheduler), (torch, torch.optim, torch.optim.lr_scheduler)]
        self.optimizers, self.schedules = [], []
        for library, optimizers, schedules in self.libraries:
            groups = [
                {"params": [library.ones(1, requires_grad=True)]},
                {"params": [library.ones(1, requires_grad=True)], "lr": 0.3},
            ]
            self.optimizers.append(getattr(optimizers, cls)(groups, lr=0.7, **options))
            self.schedules.append(make(schedules, self.optimizers[-1]))

    def compare(self):
        ours, theirs = ([self.numbers(g) for g in optimizer.param_groups] for optimizer in self.optimizers)
        assert_close(np.array(ours), np.array(theirs), "optimizer", scale=1.0)
        ours, theirs = (schedule.get_last_lr() for schedule in self.schedules)
        assert_close(np.array(ours), np.array(theirs), "optimizer", scale=1.0)

    def numbers(self, group):
        momentum = group["betas"][0] if "betas" in group else group["momentum"]
        return [float(group["lr"]), momentum, group.get("initial_lr", 0.0)]

    def step(self, *args):
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step(*args)
        self.compare()


@each_case
@pytest.mark.parametrize("cls", ["SGD", "Adam"])
def test_twenty_four_steps_equal_torch(torch, name, options, cls):
    sides = Sides(torch, lambda module, o: getattr(module, name)(o, **options), cls)
    sides.compare()
    for _ in range(24):
        sides.step()


@each_case
def test_states_go_to_torch_and_come_back(torch, name, options):
    def make(module, optimizer):
        return getattr(module, name)(optimizer, **options)

    sides, others = Sides(torch, make), Sides(torch, make)
    for _ in range(5):
        sides.step()
    ours, theirs = (schedule.state_dict() for schedule in sides.schedules)
    assert ours.keys() == theirs.keys()
    for to, state, source in zip(others.schedules, (theirs, ours), reversed(sides.optimizers), strict=True):
        to.load_state_dict(state)
        for group, other in zip(to.optimizer.param_groups, source.param_groups, strict=True):
            group.update({key: value for key, value in other.items() if key != "params"})
    others.compare()
    for _ in range(10):
        sides.step()
        others.step()
    assert_close(
        np.array(others.schedules[0].get_last_lr()), np.array(sides.schedules[0].get_last_lr()), "optimizer", scale=1.0
    )


@each_case
def test_a_state_survives_a_file(name, options, tmp_path):
    p = tinydl.ones(1, requires_grad=True)
    groups = [{"params": [p]}, {"params": [tinydl.ones(1, requires_grad=True)]}]
    optimizer = optim.SGD(groups, lr=0.7)
    schedule = getattr(lr_scheduler, name)(optimizer, **options)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    checkpoint.save(tmp_path / "file", {"schedule": schedule.state_dict(), "optimizer": optimizer.state_dict()})
    again = optim.SGD([{"params": g["params"]} for g in groups], lr=9.0)
    restored = getattr(lr_scheduler, name)(again, **options)
    state = checkpoint.load(tmp_path / "file")
    restored.load_state_dict(state["schedule"])
    again.load_state_dict(state["optimizer"])
    for _ in range(6):
        for o, s in ((optimizer, schedule), (again, restored)):
            o.step()
            s.step()
        assert [g["lr"] for g in again.param_groups] == [g["lr"] for g in optimizer.param_groups]


RATES = st.floats(0.01, 1)
DRAWN = {
    "StepLR": {"step_size": st.integers(1, 9), "gamma": RATES},
    "MultiStepLR": {"milestones": st.lists(st.integers(0, 20), max_size=5), "gamma": RATES},
    "ConstantLR": {"factor": RATES, "total_iters": st.integers(0, 25)},
    "LinearLR": {"start_factor": RATES, "end_factor": st.floats(0, 1), "total_iters": st.integers(1, 25)},
    "ExponentialLR": {"gamma": RATES},
    "PolynomialLR": {"total_iters": st.integers(1, 25), "power": st.floats(0.1, 3)},
    "CosineAnnealingLR": {"T_max": st.integers(1, 30), "eta_min": st.floats(0, 0.2)},
    "CosineAnnealingWarmRestarts": {
        "T_0": st.integers(1, 9),
        "T_mult": st.integers(1, 3),
        "eta_min": st.floats(0, 0.2),
    },
    "CyclicLR": {
        "base_lr": RATES,
        "max_lr": RATES,
        "step_size_up": st.integers(1, 9),
        "step_size_down": st.none() | st.integers(1, 9),
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
        "gamma": RATES,
        "base_momentum": RATES,
        "max_momentum": RATES,
    },
    "OneCycleLR": {
        "max_lr": RATES,
        "total_steps": st.integers(21, 60),
        "pct_start": st.floats(0.1, 0.45),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "div_factor": st.floats(1, 50),
        "final_div_factor": st.floats(1, 1e4),
        "three_phase": st.booleans(),
    },
}


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_drawn_arguments_equal_torch(torch, name, data):
    options = {key: data.draw(value) for key, value in DRAWN[name].items()}
    sides = Sides(torch, lambda module, o: getattr(module, name)(o, **options))
    for _ in range(20):
        sides.step()


@each_case
def test_steps_to_an_epoch_equal_torch(torch, name, options):
    sides = Sides(torch, lambda module, o: getattr(module, name)(o, **options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in (0, 1, 3, 10, 4):
            sides.step(epoch)
        sides.step()


@pytest.mark.parametrize("factor", [1, 2])
def test_warm_restarts_at_fractions_equal_torch(torch, factor):
    sides = Sides(torch, lambda module, o: module.CosineAnnealingWarmRestarts(o, 3, factor, 0.01))
    for epoch in np.arange(0.25, 15, 0.25):
        sides.step(float(epoch))


@each_case
def test_going_on_from_an_epoch_equals_torch(torch, name, options):
    """A new schedule for an optimizer whose groups know their first rates."""
    sides = Sides(torch, lambda module, o: getattr(module, name)(o, **options))
    for _ in range(4):
        sides.step()
    for k, (_, _, module) in enumerate(sides.libraries):
        sides.schedules[k] = getattr(module, name)(sides.optimizers[k], **options, last_epoch=3)
    sides.compare()
    for _ in range(6):
        sides.step()


COMPOSITES = {
    "sequential": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.9), m.LinearLR(o)], milestones=[3, 10]
    ),
    "sequential from the second": lambda m, o: m.SequentialLR(o, [m.StepLR(o, 2), m.CosineAnnealingLR(o, 9)], [0]),
    "chained": lambda m, o: m.ChainedScheduler([m.ConstantLR(o, 0.1, 4), m.ExponentialLR(o, 0.9)]),
    "chained with its optimizer": lambda m, o: m.ChainedScheduler([m.LinearLR(o), m.StepLR(o, 3, 0.5)], o),
    "nested": lambda m, o: m.SequentialLR(
        o, [m.ChainedScheduler([m.StepLR(o, 2), m.LinearLR(o)]), m.PolynomialLR(o, 9)], [4]
    ),
}


@pytest.mark.filterwarnings("ignore:.*before `?optimizer.step")  # both do, for chains within sequences
@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_equal_torch(torch, name):
    sides, others = Sides(torch, COMPOSITES[name]), Sides(torch, COMPOSITES[name])
    sides.compare()
    for step in range(20):
        sides.step()
        if step == 4:
            ours, theirs = (schedule.state_dict() for schedule in sides.schedules)
            assert ours.keys() == theirs.keys()
            others.schedules[0].load_state_dict(theirs)
            others.schedules[1].load_state_dict(ours)
            for k in range(2):
                for group, other in zip(
                    others.optimizers[k].param_groups, sides.optimizers[k].param_groups, strict=True
                ):
                    group["lr"] = other["lr"]
        elif step > 4:
            others.step()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max", "patience": 1, "factor": 0.5},
        {"threshold": 0.3, "threshold_mode": "abs", "patience": 0, "cooldown": 2, "min_lr": [0.1, 0.05]},
        {"mode": "max", "threshold": 0.3, "threshold_mode": "abs", "patience": 2, "factor": 0.9, "min_lr": 0.2},
        {"patience": 0, "factor": 0.1, "eps": 0.05},
    ],
)
def test_plateaus_equal_torch(torch, rng, options):
    sides = Sides(torch, lambda module, o: module.ReduceLROnPlateau(o, **options))
    assert sides.schedules[0].state_dict() == sides.schedules[1].state_dict()
    for measure in [*(1 + rng.random(40)), math.nan, *rng.random(20)]:
        sides.step(float(measure))
        assert sides.schedules[0].state_dict() == sides.schedules[1].state_dict()
    again = lr_scheduler.ReduceLROnPlateau(sides.optimizers[0])
    again.load_state_dict(sides.schedules[1].state_dict())
    sides.schedules[0] = again
    for measure in 1 + rng.random(20):
        sides.step(float(measure))


@pytest.mark.parametrize("name", lr_scheduler.__all__)
def test_signatures_are_those_of_torch(torch, name):
    modules = (lr_scheduler, torch.optim.lr_scheduler)
    assert set(modules[0].__all__) == set(modules[1].__all__)
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in modules)
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


def optimizer(**options):
    return optim.SGD([tinydl.ones(1, requires_grad=True)], **{"lr": 0.1, **options})


def test_warnings():
    o = optimizer()
    schedule = lr_scheduler.StepLR(o, 1)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\) was called before optimizer.step\(\)"):
        schedule.step()
    with pytest.warns(UserWarning, match=r"step\(epoch\) is kept for old scripts"):
        schedule.step(3)
    with pytest.warns(UserWarning, match=r"get_last_lr\(\) tells the last rates"):
        schedule.get_lr()
    o = optimizer()
    schedule = lr_scheduler.StepLR(o, 1)
    o.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.step()
        schedule.step()


def test_a_schedule_of_ones_own():
    class InverseRoot(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / (1 + self.last_epoch) ** 0.5 for base in self.base_lrs]

    o = optimizer(lr=1.0)
    schedule = InverseRoot(o)
    for _ in range(3):
        o.step()
        schedule.step()
    assert schedule.get_last_lr() == [0.5]
    with pytest.raises(NotImplementedError, match="LRScheduler does not define get_lr"):
        lr_scheduler.LRScheduler(o)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("StepLR", {"step_size": 0}, "StepLR: got step_size = 0, wanted a positive integer"),
        ("ConstantLR", {"factor": 1.5}, "ConstantLR: got factor = 1.5, wanted a number from 0 to 1"),
        ("LinearLR", {"start_factor": 0.0}, "LinearLR: got start_factor = 0.0, wanted a number above 0 and at most 1"),
        ("LinearLR", {"end_factor": 2.0}, "LinearLR: got end_factor"),
        ("LambdaLR", {"lr_lambda": [abs, abs]}, "LambdaLR: lr_lambda has 2 values, the optimizer 1 groups"),
        ("CosineAnnealingWarmRestarts", {"T_0": 0}, "CosineAnnealingWarmRestarts: got T_0 = 0"),
        ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 0.5}, "CosineAnnealingWarmRestarts: got T_mult = 0.5"),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "mode": "square"}, "CyclicLR: got mode 'square' and no scale_fn"),
        ("CyclicLR", {"base_lr": [0.1, 0.2], "max_lr": 1.0}, "CyclicLR: base_lr has 2 values, the optimizer 1 groups"),
        ("OneCycleLR", {"max_lr": 1.0}, "OneCycleLR: wanted total_steps, or both epochs and steps_per_epoch"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 0}, "OneCycleLR: got total_steps = 0"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "pct_start": 2.0}, "OneCycleLR: got pct_start = 2.0"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "anneal_strategy": "log"}, "OneCycleLR: got anneal_strategy"),
        ("ReduceLROnPlateau", {"factor": 1.0}, "ReduceLROnPlateau: got factor = 1.0, wanted a number below 1"),
        ("ReduceLROnPlateau", {"mode": "auto"}, "ReduceLROnPlateau: got mode 'auto'"),
        ("ReduceLROnPlateau", {"threshold_mode": "all"}, "ReduceLROnPlateau: got threshold_mode 'all'"),
        ("ReduceLROnPlateau", {"min_lr": [0.1, 0.2]}, "ReduceLROnPlateau: min_lr has 2 values"),
        ("ExponentialLR", {"gamma": 0.5, "last_epoch": 3}, r"param_groups\[0\] has no 'initial_lr'"),
        ("SequentialLR", {"schedulers": [], "milestones": []}, "SequentialLR: got no schedules"),
    ],
)
def test_wrong_values(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(lr_scheduler, name)(optimizer(), **options)


def test_wrong_calls():
    o = optimizer()
    step = lr_scheduler.StepLR(o, 1)
    with pytest.raises(TypeError, match="StepLR: got a list, wanted an Optimizer"):
        lr_scheduler.StepLR([], 1)
    with pytest.raises(TypeError, match="MultiplicativeLR: lr_lambda is a float, wanted a function"):
        lr_scheduler.MultiplicativeLR(o, 0.5)
    with pytest.raises(ValueError, match="SequentialLR: got 2 schedules and 2 milestones"):
        lr_scheduler.SequentialLR(o, [step, step], [1, 2])
    with pytest.raises(ValueError, match=r"schedulers\[1\] is a ReduceLROnPlateau, whose step needs a measure"):
        lr_scheduler.ChainedScheduler([step, lr_scheduler.ReduceLROnPlateau(o)])
    with pytest.raises(ValueError, match=r"schedulers\[0\] belongs to another optimizer"):
        lr_scheduler.SequentialLR(optimizer(), [step], [])
    with pytest.raises(TypeError, match=r"ChainedScheduler: schedulers\[0\] is a str, wanted a schedule"):
        lr_scheduler.ChainedScheduler(["step"], o)
    adagrad = optim.Adagrad([tinydl.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="CyclicLR: Adagrad has neither momentum nor betas"):
        lr_scheduler.CyclicLR(adagrad, 0.1, 1.0)
    cycle = lr_scheduler.OneCycleLR(o, 1.0, total_steps=2)
    o.step()
    cycle.step()
    cycle.step()
    with pytest.raises(ValueError, match="OneCycleLR: got step 3, the cycle has 2 steps"):
        cycle.step()
    restarts = lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), 3)
    with pytest.raises(ValueError, match="got epoch = -1, wanted at least 0"):
        restarts.step(-1)


def test_a_rate_that_rounds_below_zero_is_no_error():
    w = tinydl.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.48073051373429776)
    schedule = lr_scheduler.LinearLR(optimizer, start_factor=0.48073051373429776, end_factor=0.0, total_iters=4)
    for _ in range(6):
        w.grad = tinydl.ones(2)
        optimizer.step()
        schedule.step()
    assert abs(optimizer.param_groups[0]["lr"]) < 1e-15
