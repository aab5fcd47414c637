"""The kernels of a step against the equations in NumPy: tiers, layouts, threads, denormals, wrong calls."""

import platform

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.optimizer import reference
from tests.support.arrays import layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]
SHAPES = [(3, 5, 7, 2), (1,), (), (0, 4), (20_011,), (33, 17), (15,)]
SGD = [
    {},
    {"weight_decay": 0.01},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3, "maximize": True},
    {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
]
ADAM = [
    {},
    {"weight_decay": 0.01, "maximize": True},
    {"betas": (0.5, 0.9), "eps": 0.1},
    {"betas": (0.0, 0.0)},
    {"amsgrad": True, "betas": (0.9, 0.6)},
]


class SgdStepper:
    """Calls the kernel for several steps on copies of the parameters."""

    def __init__(self, params, lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
        self.params = params
        self.buffers = [np.full_like(p, np.nan) for p in params]
        self.options = (lr, momentum, dampening, weight_decay, nesterov, maximize)
        self.first = True

    def step(self, grads):
        _cpu.sgd_step(self.params, grads, self.buffers, *self.options, self.first)
        self.first = False


class AdamStepper:
    def __init__(self, params, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False):
        self.params = params
        self.state = [[np.zeros_like(p) for p in params] for _ in range(3)]
        self.options = (lr, *betas, eps, weight_decay, amsgrad, maximize)
        self.t = 0

    def step(self, grads):
        self.t += 1
        _cpu.adam_step(self.params, grads, *self.state, self.t, *self.options)


CASES = [(SgdStepper, reference.Sgd, options) for options in SGD]
CASES += [(AdamStepper, reference.Adam, options) for options in ADAM]
IDS = [f"{case[0].__name__[:-7].lower()}-{'-'.join(case[2]) or 'plain'}" for case in CASES]
each_case = pytest.mark.parametrize(("stepper", "oracle", "options"), CASES, ids=IDS)


def run(stepper, oracle, options, params, draw_grads, steps=5):
    """Steps both, and compares the parameters after each."""
    ours = stepper([p.copy(order="K") for p in params], **options)
    theirs = [oracle(p, 0.1, **options) for p in params]
    travelled = [np.abs(p.astype(np.float64)) for p in params]
    for _ in range(steps):
        grads = draw_grads()
        ours.step(grads)
        for k, (reference_, g) in enumerate(zip(theirs, grads, strict=True)):
            before = reference_.p
            reference_.step(g)
            travelled[k] = travelled[k] + np.abs(reference_.p - before)
            assert_close(ours.params[k], reference_.p, "optimizer", scale=travelled[k] + 0.1)
    return ours


@pytest.mark.parametrize("dtype", FLOATS)
@each_case
def test_steps_follow_the_equations(isa, stepper, oracle, options, dtype, rng):
    params = [normal(rng, shape, dtype) for shape in SHAPES]
    run(stepper, oracle, options, params, lambda: [normal(rng, shape, dtype) for shape in SHAPES])


@each_case
@given(drawn=st.lists(shapes(max_dims=3, max_elements=500), max_size=6), seed=st.integers(0, 2**32 - 1))
def test_any_list_of_shapes(stepper, oracle, options, drawn, seed):
    rng = np.random.default_rng(seed)
    params = [normal(rng, shape) for shape in drawn]
    run(stepper, oracle, options, params, lambda: [normal(rng, shape) for shape in drawn], steps=2)


@each_case
def test_layouts_of_parameters_and_gradients(stepper, oracle, options, rng):
    dense = [view for name, view in layouts(normal(rng, (3, 5, 7, 2))) if name not in ("strided", "reversed")]
    for param in dense:
        grads = [grad for _, grad in layouts(normal(rng, param.shape))]
        grads.append(np.broadcast_to(normal(rng, (7, 1)), param.shape))
        for grad in grads:
            ours = run(stepper, oracle, options, [param], lambda grad=grad: [grad], steps=2)
            assert ours.params[0].strides == param.strides


@each_case
def test_bits_depend_on_neither_threads_nor_neighbours(isa, stepper, oracle, options, rng):
    params = [normal(rng, shape) for shape in SHAPES * 3]
    grads = [normal(rng, shape) for shape in SHAPES * 3]
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            ours = stepper([p.copy() for p in params], **options)
            for _ in range(3):
                ours.step(grads)
            results.add(b"".join(p.tobytes() for p in ours.params))
    alone = []
    for p, g in zip(params, grads, strict=True):
        ours = stepper([p.copy()], **options)
        for _ in range(3):
            ours.step([g])
        alone.append(ours.params[0].tobytes())
    assert results == {b"".join(alone)}


def test_an_element_does_not_depend_on_its_position(isa, rng):
    p, g = normal(rng, (1000,)), normal(rng, (1000,))
    whole = AdamStepper([p.copy()])
    whole.step([g])
    for first in (1, 3, 17):
        part = AdamStepper([p[first:].copy()])
        part.step([g[first:].copy()])
        assert np.array_equal(part.params[0], whole.params[0][first:])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the mode exists on x86 only")
def test_denormals_become_zero_within_the_step_only(isa):
    tiny = np.full(100, 1e-39, np.float32)
    param, buffer = np.zeros(100, np.float32), tiny.copy()
    _cpu.sgd_step([param], [np.zeros(100, np.float32)], [buffer], 1.0, 0.9, 0.0, 0.0, False, False, False)
    assert np.all(buffer == 0)
    assert np.all(param == 0)
    assert np.all(tiny * np.float32(0.5) > 0)


def test_not_a_number_stays_visible(isa):
    param, grad = np.ones(40, np.float32), np.ones(40, np.float32)
    grad[[3, 39]] = np.nan
    ours = AdamStepper([param], amsgrad=True)
    for _ in range(2):
        ours.step([grad])
        assert np.array_equal(np.isnan(param), np.isnan(grad))
        grad = np.where(np.isnan(grad), grad, np.float32(0.5))


def test_nothing_to_update():
    _cpu.sgd_step([], [], [], 0.1, 0.9, 0.0, 0.0, False, False, True)
    AdamStepper([np.zeros((0, 3), np.float32)]).step([np.zeros((0, 3), np.float32)])


# -- Wrong calls ---------------------------------------------------------------------------------------------


def sgd(params, grads, buffers=(), momentum=0.0):
    _cpu.sgd_step(params, grads, buffers, 0.1, momentum, 0.0, 0.0, False, False, False)


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def test_wrong_lists():
    with pytest.raises(ValueError, match="sgd_step: got 2 params and 1 grads"):
        sgd([ones(3), ones(3)], [ones(3)])
    with pytest.raises(ValueError, match="sgd_step: got 1 params and 0 momentum_buffers"):
        sgd([ones(3)], [ones(3)], [], momentum=0.9)
    with pytest.raises(TypeError, match=r"sgd_step: grads\[1\] is a list, wanted an array"):
        sgd([ones(3), ones(1)], [ones(3), [1.0]])
    with pytest.raises(ValueError, match="adam_step: got step 0, wanted at least 1"):
        _cpu.adam_step([], [], [], [], [], 0, 0.1, 0.9, 0.999, 1e-8, 0.0, False, False)


def test_wrong_shapes_and_dtypes():
    with pytest.raises(ValueError, match=r"sgd_step: grads\[0\] has shape \(3, 1\), params\[0\] \(3,\)"):
        sgd([ones(3)], [ones(3, 1)])
    with pytest.raises(ValueError, match=r"momentum_buffers\[0\] has shape \(2,\), params\[0\] \(3,\)"):
        sgd([ones(3)], [ones(3)], [ones(2)], momentum=0.9)
    with pytest.raises(TypeError, match=r"sgd_step: grads\[0\] has dtype float64, params\[0\] float32"):
        sgd([ones(3)], [ones(3, dtype=np.float64)])
    with pytest.raises(TypeError, match=r"sgd_step: params\[1\] has dtype float64, params\[0\] float32"):
        sgd([ones(3), ones(3, dtype=np.float64)], [ones(3)] * 2)
    with pytest.raises(TypeError, match="sgd_step: got dtype int64, wanted float32 or float64"):
        sgd([ones(3, dtype=np.int64)], [ones(3, dtype=np.int64)])


def test_wrong_memory():
    frozen = ones(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"sgd_step: params\[0\] is read-only"):
        sgd([frozen], [ones(3)])
    with pytest.raises(ValueError, match=r"sgd_step: params\[0\] is not dense"):
        sgd([ones(6)[::2]], [ones(3)])
    with pytest.raises(ValueError, match=r"momentum_buffers\[0\] has other strides than params\[0\]"):
        sgd([ones(2, 3)], [ones(2, 3)], [ones(3, 2).T], momentum=0.9)
    base = ones(10)
    for params, grads in (
        ([base[:6], base[5:]], [ones(6), ones(5)]),
        ([base], [base]),
        ([base[:5]], [base[3:8]]),
    ):
        with pytest.raises(ValueError, match="sgd_step: two arrays share memory, and one is updated"):
            sgd(params, grads)
    assert np.all(base == 1)
    shared = ones(4)
    params = [ones(4), ones(4)]
    sgd(params, [shared, shared])
    assert_close(np.stack(params), np.full((2, 4), 0.9), "optimizer")
