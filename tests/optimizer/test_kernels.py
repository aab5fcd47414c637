"""The kernels of a step against the equations in NumPy: tiers, layouts, threads, denormals, wrong calls."""

import platform

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.optimizer import reference
from tests.support.arrays import layouts, normal, shapes
from tests.support.compare import assert_close
from tinydl import _cpu, backend, emulated

FLOATS = [np.float32, np.float64]
HALF_SHAPES = [(3, 64), (5,), (), (2, 0), (33, 17)]
SHAPES = [(3, 5, 7, 2), (1,), (), (0, 4), (20_011,), (33, 17), (15,)]
OPTIONS = {
    "sgd": [
        {},
        {"weight_decay": 0.01, "scale": 0.3},
        {"momentum": 0.9, "keep": 0.9},
        {"momentum": 0.9, "dampening": 0.3, "maximize": True},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    ],
    "adam": [
        {},
        {"weight_decay": 0.01, "maximize": True},
        {"beta1": 0.5, "beta2": 0.9, "eps": 0.1, "keep": 0.9},
        {"beta1": 0.0, "beta2": 0.0},
        {"amsgrad": True, "beta2": 0.6, "root_scale": 1.3},
        {"grad_rate": 0.02, "beta2": 0.9},
        {"root_scale": 0.0, "eps": 1.0},
    ],
    "adamax": [{}, {"beta2": 0.5, "inner_eps": 0.1, "weight_decay": 0.01}, {"eps": 0.1, "keep": 0.9, "maximize": True}],
    "adagrad": [{}, {"inner_eps": 0.1, "weight_decay": 0.01}, {"eps": 0.1, "keep": 0.9, "maximize": True}],
    "rmsprop": [
        {},
        {"momentum": 0.8, "weight_decay": 0.01},
        {"centered": True, "inner_eps": 0.1, "keep": 0.9, "scale": 0.5},
        {"centered": True, "momentum": 0.8, "eps": 0.1, "maximize": True},
    ],
    "adadelta": [{}, {"rho": 0.5, "weight_decay": 0.01, "lr": 0.5}, {"keep": 0.9, "maximize": True}],
    "asgd": [{}, {"share": 0.3, "keep": 0.9}, {"weight_decay": 0.01, "maximize": True}],
    "rprop": [{}, {"shrink": 0.3, "grow": 2.0, "smallest": 0.08, "largest": 0.3, "maximize": True}],
}
CASES = [(name, options) for name, several in OPTIONS.items() for options in several]
IDS = [f"{name}-{'-'.join(options) or 'plain'}" for name, options in CASES]
each_case = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)


def stepper(kernels, name, params, **options):
    return reference.Stepper(kernels, name, params, **options)


def run(kernels, name, options, params, draw_grads, steps=5):
    """Steps both, and compares the parameters after each, and the states at the end."""
    ours = stepper(kernels, name, params, **options)
    theirs = [reference.RULES[name](p, **options) for p in params]
    travelled = [np.abs(p.astype(np.float64)) for p in params]
    for _ in range(steps):
        grads = draw_grads()
        ours.step(grads)
        for k, (rule, g) in enumerate(zip(theirs, grads, strict=True)):
            before = rule.p
            rule.step(g)
            travelled[k] = travelled[k] + np.abs(rule.p - before)
            assert_close(ours.params[k], rule.p, "optimizer", scale=travelled[k] + 0.1)
    for key, arrays in ours.states.items():
        for k, (state, rule) in enumerate(zip(arrays, theirs, strict=True)):
            if np.any(state != rule.states[key]):  # else the options do not use it
                assert_close(state, rule.s[key], "optimizer", scale=travelled[k] + np.abs(rule.s[key]) + 0.1)
    return ours


@pytest.mark.parametrize("dtype", FLOATS)
@each_case
def test_steps_follow_the_equations(kernels, isa, name, options, dtype, rng):
    params = [normal(rng, shape, dtype) for shape in SHAPES]
    run(kernels, name, options, params, lambda: [normal(rng, shape, dtype) for shape in SHAPES])


@each_case
@given(drawn=st.lists(shapes(max_dims=3, max_elements=500), max_size=6), seed=st.integers(0, 2**32 - 1))
def test_any_list_of_shapes(kernels, name, options, drawn, seed):
    rng = np.random.default_rng(seed)
    params = [normal(rng, shape) for shape in drawn]
    run(kernels, name, options, params, lambda: [normal(rng, shape) for shape in drawn], steps=2)


@each_case
def test_layouts_of_parameters_and_gradients(kernels, name, options, rng):
    dense = [view for name, view in layouts(normal(rng, (3, 5, 7, 2))) if name not in ("strided", "reversed")]
    for param in dense:
        grads = [grad for _, grad in layouts(normal(rng, param.shape))]
        grads.append(np.broadcast_to(normal(rng, (7, 1)), param.shape))
        for grad in grads:
            ours = run(kernels, name, options, [param], lambda grad=grad: [grad], steps=2)
            assert ours.params[0].strides == param.strides


@each_case
def test_bits_depend_on_neither_threads_nor_neighbours(isa, name, options, rng):
    params = [normal(rng, shape) for shape in SHAPES * 3]
    grads = [normal(rng, shape) for shape in SHAPES * 3]
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            ours = stepper(_cpu, name, params, **options)
            for _ in range(3):
                ours.step(grads)
            results.add(b"".join(p.tobytes() for p in ours.params))
    alone = []
    for p, g in zip(params, grads, strict=True):
        ours = stepper(_cpu, name, [p], **options)
        for _ in range(3):
            ours.step([g])
        alone.append(ours.params[0].tobytes())
    assert results == {b"".join(alone)}


@each_case
def test_an_element_does_not_depend_on_its_position(kernels, isa, name, options, rng):
    p, g = normal(rng, (1000,)), normal(rng, (1000,))
    whole = stepper(kernels, name, [p], **options)
    whole.step([g])
    for first in (1, 3, 17):
        part = stepper(kernels, name, [p[first:]], **options)
        part.step([g[first:].copy()])
        assert np.array_equal(part.params[0], whole.params[0][first:])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the mode exists on x86 only")
def test_denormals_become_zero_within_the_step_only(isa):
    tiny = np.full(100, 1e-39, np.float32)
    param, buffer = np.zeros(100, np.float32), tiny.copy()
    _cpu.sgd_step([param], [np.zeros(100, np.float32)], [buffer], 1.0, 1.0, 0.9, 0.0, False, False, 0.0, 1.0, False)
    assert np.all(buffer == 0)
    assert np.all(param == 0)
    assert np.all(tiny * np.float32(0.5) > 0)


@each_case
def test_not_a_number_stays_visible(kernels, isa, name, options):
    grad = np.ones(40, np.float32)
    grad[[3, 39]] = np.nan
    ours = stepper(kernels, name, [np.ones(40, np.float32)], **options)
    for _ in range(2):
        ours.step([grad])
        assert np.array_equal(np.isnan(ours.params[0]), np.isnan(grad))
        grad = np.where(np.isnan(grad), grad, np.float32(0.5))


def test_a_variance_is_never_negative(kernels, isa):
    """Equal gradients, whose variance is the rounding error alone once the first zero is forgotten."""
    ours = stepper(kernels, "rmsprop", [np.zeros(1000, np.float32)], centered=True, alpha=0.5, eps=1e-3)
    grad = np.linspace(0.1, 3, 1000, dtype=np.float32)
    for _ in range(60):
        ours.step([grad])
    assert np.all(np.isfinite(ours.params[0]))


@pytest.mark.parametrize("name", OPTIONS)
def test_nothing_to_update(kernels, name):
    stepper(kernels, name, []).step([])
    stepper(kernels, name, [np.zeros((0, 3), np.float32)]).step([np.zeros((0, 3), np.float32)])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@each_case
def test_halves_are_stepped_as_float32_and_rounded_once(gpu_kernels, name, options, dtype, rng):
    params = [normal(rng, shape).astype(dtype) for shape in HALF_SHAPES]
    halves = stepper(gpu_kernels, name, params, **options)
    wide = stepper(gpu_kernels, name, [p.astype(np.float32) for p in params], **options)
    for arrays in halves.states.values():  # as the parameters' states have it after some steps
        for k, state in enumerate(arrays):
            arrays[k] = np.asarray(np.abs(normal(rng, state.shape)), dtype)
    wide.states = {key: [a.astype(np.float32) for a in arrays] for key, arrays in halves.states.items()}
    grads = [normal(rng, shape).astype(dtype) for shape in HALF_SHAPES]
    for stepped in (halves, wide):
        stepped.t = 1  # not the first
    halves.step(grads)
    wide.step([g.astype(np.float32) for g in grads])
    for got, expected in zip(halves.params, wide.params, strict=True):
        assert got.tobytes() == expected.astype(dtype).tobytes()
    for key, arrays in halves.states.items():
        for got, expected in zip(arrays, wide.states[key], strict=True):
            assert got.tobytes() == expected.astype(dtype).tobytes()


@pytest.mark.parametrize("count", [64, 65, 520])
def test_many_small_parameters(kernels, count, rng):
    """More than one launch of the GPU's kernel takes."""
    shapes = [(k % 19,) for k in range(count)]
    run(kernels, "adam", {}, [normal(rng, s) for s in shapes], lambda: [normal(rng, s) for s in shapes], steps=2)
    arrays = [normal(rng, s) for s in shapes]
    expected = np.linalg.norm(np.concatenate(arrays).astype(np.float64))
    assert_close(np.float64(kernels.total_norm(arrays, "euclidean")), expected, "optimizer", dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@each_case
def test_a_graphs_step_has_the_numbers_of_its_slot(gpu_kernels, name, options, dtype, rng):
    """Those that the same call wrote there, which does nothing else, and not its own."""
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation; on a GPU tests/cuda/test_graphed_steps.py")
    params, grads = ([normal(rng, shape).astype(dtype) for shape in HALF_SHAPES] for _ in range(2))
    captured = {**options, "keep": 0.2, "maximize": not options.get("maximize")}
    plain, filling, graphed = (stepper(gpu_kernels, name, params, **given) for given in (options, options, captured))
    slots = emulated.asarray(np.zeros((2, 128), np.uint8))
    plain.step(grads)
    keys = []
    for stepped, fills in ((filling, True), (graphed, False)):
        gpu_kernels.module.set_slots_of_replay(slots, fills)
        try:
            stepped.step(grads)
        finally:
            keys.append(gpu_kernels.module.set_slots_of_replay(None))
    assert [len(each) for each in keys] == [1, 1]
    assert keys[0] != keys[1]  # of other arrays
    assert same(filling.params, params)
    assert same(graphed.params, plain.params)
    assert all(same(graphed.states[key], plain.states[key]) for key in plain.states)
    graphed.step(grads)
    plain.step(grads)
    assert not same(graphed.params, plain.params)


def same(arrays, others):
    return all(a.tobytes() == b.tobytes() for a, b in zip(arrays, others, strict=True))


# -- Wrong calls ---------------------------------------------------------------------------------------------


def sgd(kernels, params, grads, buffers=(), momentum=0.0):
    kernels.sgd_step(params, grads, buffers, 0.1, 1.0, momentum, 0.0, False, False, 0.0, 1.0, False)


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def test_wrong_lists(kernels):
    with pytest.raises(ValueError, match="sgd_step: got 2 params and 1 grads"):
        sgd(kernels, [ones(3), ones(3)], [ones(3)])
    with pytest.raises(ValueError, match="sgd_step: got 1 params and 0 momentum_buffers"):
        sgd(kernels, [ones(3)], [ones(3)], [], momentum=0.9)
    with pytest.raises(TypeError, match=r"sgd_step: grads\[1\] is a list, wanted an array"):
        sgd(kernels, [ones(3), ones(1)], [ones(3), [1.0]])
    for name, rule in reference.RULES.items():
        ours = stepper(kernels, name, [ones(3)], **({"momentum": 0.9} if "momentum" in rule.options else {}))
        ours.states = {key: [] for key in rule.states}
        with pytest.raises(ValueError, match=rf"{name}_step: got 1 params and 0 \w+s$"):
            ours.step([ones(3)])


def test_wrong_shapes_and_dtypes(kernels):
    with pytest.raises(ValueError, match=r"sgd_step: grads\[0\] has shape \(3, 1\), params\[0\] \(3,\)"):
        sgd(kernels, [ones(3)], [ones(3, 1)])
    with pytest.raises(ValueError, match=r"momentum_buffers\[0\] has shape \(2,\), params\[0\] \(3,\)"):
        sgd(kernels, [ones(3)], [ones(3)], [ones(2)], momentum=0.9)
    with pytest.raises(TypeError, match=r"sgd_step: grads\[0\] has dtype float64, params\[0\] float32"):
        sgd(kernels, [ones(3)], [ones(3, dtype=np.float64)])
    with pytest.raises(TypeError, match=r"sgd_step: params\[1\] has dtype float64, params\[0\] float32"):
        sgd(kernels, [ones(3), ones(3, dtype=np.float64)], [ones(3)] * 2)
    with pytest.raises(TypeError, match="sgd_step: got dtype int64, wanted float32"):
        sgd(kernels, [ones(3, dtype=np.int64)], [ones(3, dtype=np.int64)])


def test_read_only_memory():
    frozen = ones(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"sgd_step: params\[0\] is read-only"):
        sgd(_cpu, [frozen], [ones(3)])


def test_wrong_memory(kernels):
    with pytest.raises(ValueError, match=r"sgd_step: params\[0\] is not dense"):
        sgd(kernels, [ones(6)[::2]], [ones(3)])
    with pytest.raises(ValueError, match=r"momentum_buffers\[0\] has other strides than params\[0\]"):
        sgd(kernels, [ones(2, 3)], [ones(2, 3)], [ones(3, 2).T], momentum=0.9)
    base = ones(10)
    for params, grads in (
        ([base[:6], base[5:]], [ones(6), ones(5)]),
        ([base], [base]),
        ([base[:5]], [base[3:8]]),
    ):
        with pytest.raises(ValueError, match="sgd_step: two arrays share memory, and one is updated"):
            sgd(kernels, params, grads)
    assert np.all(base == 1)
    shared = ones(4)
    params = [ones(4), ones(4)]
    sgd(kernels, params, [shared, shared])
    assert_close(np.stack(params), np.full((2, 4), 0.9), "optimizer")
