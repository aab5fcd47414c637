"""The same parameters and options in both libraries."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import optim
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
    (Adam, {"lr": 0.1, "weight_decay": 0.05, "decoupled_weight_decay": True}),
    (optim.AdamW, {"lr": 0.1}),
    (optim.AdamW, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    (optim.NAdam, {}),
    (optim.NAdam, {"lr": 0.1, "weight_decay": 0.05, "momentum_decay": 0.1, "maximize": True}),
    (optim.NAdam, {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    (optim.RAdam, {"lr": 0.1}),
    (optim.RAdam, {"lr": 0.1, "weight_decay": 0.05, "betas": (0.8, 0.9), "maximize": True}),
    (optim.RAdam, {"lr": 0.1, "weight_decay": 0.3, "betas": (0.8, 0.9), "decoupled_weight_decay": True}),
    (optim.Adamax, {"lr": 0.1}),
    (optim.Adamax, {"lr": 0.1, "weight_decay": 0.05, "eps": 0.1, "betas": (0.8, 0.7), "maximize": True}),
    (optim.Adagrad, {"lr": 0.1}),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.05}),
    (optim.Adagrad, {"lr": 0.1, "eps": 0.1, "maximize": True}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"lr": 0.1, "alpha": 0.8, "momentum": 0.9, "weight_decay": 0.05}),
    (optim.RMSprop, {"lr": 0.1, "alpha": 0.9, "centered": True, "eps": 0.1, "maximize": True}),
    (optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "centered": True, "momentum": 0.5}),
    (optim.Adadelta, {}),
    (optim.Adadelta, {"lr": 0.5, "rho": 0.7, "eps": 0.01, "weight_decay": 0.05, "maximize": True}),
    (optim.ASGD, {"lr": 0.1}),
    (optim.ASGD, {"lr": 0.1, "lambd": 0.1, "alpha": 0.9, "t0": 3, "weight_decay": 0.05, "maximize": True}),
    (optim.Rprop, {}),
    (optim.Rprop, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.3), "maximize": True}),
]
IDS = [f"{cls.__name__}-{'-'.join(options) or 'defaults'}" for cls, options in CASES]
CLASSES = sorted({case[0] for case in CASES}, key=lambda cls: cls.__name__)
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

    def compare(self, steps=1):
        """Rounding errors add up over the steps, relative to values of about 1."""
        for p, q in zip(self.ours, self.theirs, strict=True):
            assert_close(p, q.detach().numpy(), "optimizer", scale=(2 + np.abs(q.detach().numpy())) * steps)
