"""Loss scaling, beside PyTorch's step by step."""

import math

import numpy as np
import pytest

import tinydl
from tinydl import optim
from tinydl.amp import GradScaler
from tinydl.nn.utils import clip_grad_norm_

INF, NAN = math.inf, math.nan


def weights(device="cpu", count=2):
    return [tinydl.ones(3).to(device).requires_grad_() for _ in range(count)]


def backward(scaler, params, *factors):
    loss = sum((p * f).sum() for p, f in zip(params, factors, strict=True))
    scaler.scale(loss).backward()


# -- Beside PyTorch ---------------------------------------------------------------------------------------------

RUNS = {
    "finite": [1.0, 2.0, 0.5],
    "an infinity": [1.0, INF, 1.0],
    "a NaN": [NAN, 1.0],
    "growing": [1.0] * 7,
    "shrinking and growing": [INF, -INF, 1.0, 1.0, 1.0, NAN, 1.0, 1.0],
}


@pytest.mark.parametrize("run", RUNS)
def test_against_torch(torch, run, device):
    options = {"init_scale": 8.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 2}
    ours, theirs = GradScaler(device, **options), torch.amp.GradScaler("cpu", **options)
    params = weights(device)
    others = [torch.ones(3, requires_grad=True) for _ in params]
    optimizer, other = optim.SGD(params, lr=0.1, momentum=0.5), torch.optim.SGD(others, lr=0.1, momentum=0.5)
    for factor in RUNS[run]:
        for each, scaler, tensors in ((optimizer, ours, params), (other, theirs, others)):
            each.zero_grad()
            backward(scaler, tensors, 1.0, factor)
            scaler.unscale_(each)
            scaler.step(each)
            scaler.update()
        for p, q in zip(params, others, strict=True):
            np.testing.assert_array_equal(p.grad.cpu().numpy(), q.grad.numpy())
            np.testing.assert_allclose(p.detach().cpu().numpy(), q.detach().numpy(), rtol=1e-6)
        assert ours.get_scale() == theirs.get_scale()
        assert ours.state_dict() == theirs.state_dict()


def test_the_constants_are_torchs(torch):
    assert GradScaler("cpu").state_dict() == torch.amp.GradScaler("cpu").state_dict()
    ours, theirs = GradScaler("cpu", enabled=False), torch.amp.GradScaler("cpu", enabled=False)
    assert ours.state_dict() == theirs.state_dict() == {}
    assert ours.get_scale() == theirs.get_scale() == 1.0


def test_states_go_both_ways(torch):
    options = {"init_scale": 2.0, "growth_factor": 3.0, "backoff_factor": 0.125, "growth_interval": 5}
    ours, theirs = GradScaler("cpu", **options), torch.amp.GradScaler("cpu", **options)
    ours._growth_tracker = 3
    theirs.load_state_dict(ours.state_dict())
    fresh = GradScaler("cpu")
    fresh.load_state_dict(theirs.state_dict())
    assert fresh.state_dict() == ours.state_dict() == theirs.state_dict()


# -- Steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_a_step_is_skipped(device, bad):
    params = weights(device)
    optimizer, scaler = optim.Adam(params, lr=0.1), GradScaler(device, init_scale=4.0)
    backward(scaler, params, 1.0, bad)
    assert scaler.step(optimizer) is None
    scaler.update()
    assert scaler.get_scale() == 2.0
    assert not optimizer.state  # the optimiser has seen nothing
    for p in params:
        np.testing.assert_array_equal(p.detach().cpu().numpy(), np.ones(3))


@pytest.mark.parametrize("at", [0, 31, 99])
def test_one_bad_element_among_many(device, at):
    params = [tinydl.ones(n).to(device).requires_grad_() for n in (100, 1, 33)]
    for p in params:
        p.grad = tinydl.ones(p.shape).to(device)
    bad = np.ones(100, np.float32)
    bad[at] = NAN
    params[0].grad = tinydl.tensor(bad).to(device)
    scaler = GradScaler(device)
    scaler.unscale_(optim.SGD(params, lr=1.0))
    assert list(scaler._found.values()) == [True]


def test_clipping_between(device):
    scaler = GradScaler(device, init_scale=1024.0)
    params = weights(device)
    optimizer = optim.SGD(params, lr=1.0)
    backward(scaler, params, 30.0, 40.0)
    scaler.unscale_(optimizer)
    norm = clip_grad_norm_(params, 1.0)
    assert norm.item() == pytest.approx(math.sqrt(3) * 50)
    scaler.step(optimizer)
    scaler.update()
    change = np.concatenate([1 - p.detach().cpu().numpy() for p in params])
    assert np.linalg.norm(change) == pytest.approx(1.0, rel=1e-5)


def test_several_losses_and_optimizers():
    scaler = GradScaler("cpu", init_scale=8.0)
    (a,), (b,) = weights(count=1), weights(count=1)
    first, second = optim.SGD([a], lr=1.0), optim.SGD([b], lr=1.0)
    x, y = scaler.scale([(a * 2).sum(), (b * INF).sum()])
    x.backward()
    y.backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    np.testing.assert_array_equal(a.detach().numpy(), -np.ones(3))
    np.testing.assert_array_equal(b.detach().numpy(), np.ones(3))
    assert scaler.get_scale() == 4.0


def test_gradients_of_views_and_of_two_dtypes():
    """A gradient with gaps in memory is scaled too, and each dtype is looked at."""
    a, b = tinydl.ones(2, 3, requires_grad=True), tinydl.ones(2, dtype=tinydl.float64, requires_grad=True)
    scaler, optimizer = GradScaler("cpu", init_scale=2.0), optim.SGD([a, b], lr=1.0)
    a.grad = tinydl.tensor(np.arange(12, dtype=np.float32).reshape(2, 6))[:, ::2]
    b.grad = tinydl.tensor(np.array([4.0, INF]))
    scaler.unscale_(optimizer)
    np.testing.assert_array_equal(a.grad.numpy(), np.arange(12).reshape(2, 6)[:, ::2] / 2)
    np.testing.assert_array_equal(b.grad.numpy(), [2, INF])
    assert list(scaler._found.values()) == [True]


def test_the_gradients_are_read_once_for_all(monkeypatch):
    """One call that waits for a GPU in a step, whatever the number of parameters."""
    calls = []
    from tinydl import backend

    kernels = backend.of(np.zeros(1))
    norm = kernels.total_norm
    monkeypatch.setattr(kernels, "total_norm", lambda *args: (calls.append(len(args[0])), norm(*args))[1])
    scaler, params = GradScaler("cpu"), weights(count=5)
    optimizer = optim.SGD(params, lr=1.0)
    backward(scaler, params, *[1.0] * 5)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert calls == [5]


def test_small_gradients_survive_in_float16():
    """What float16 would round to 0 is kept by the scale."""
    w = tinydl.ones(1, requires_grad=True)
    tiny = 2.0**-30

    def gradient(scaler):
        w.grad = None
        loss = (w.to(tinydl.float16) * 1.0).float() * tiny
        scaler.scale(loss.sum()).backward()
        optimizer = optim.SGD([w], lr=0.0)
        scaler.unscale_(optimizer)
        return w.grad.item()

    assert gradient(GradScaler("cpu", enabled=False)) == 0
    assert gradient(GradScaler("cpu")) == tiny


def test_the_scale_stays_finite():
    scaler = GradScaler("cpu", init_scale=2.0**127, growth_interval=1)
    (w,) = weights(count=1)
    w.grad = tinydl.zeros(3)
    scaler.step(optim.SGD([w], lr=1.0))
    scaler.update()
    assert scaler.get_scale() == 2.0**127


def test_the_scale_stays_above_zero():
    scaler, optimizer, w = ready()
    for factor in [INF] * 300 + [1.0]:
        w.grad = tinydl.full((3,), factor)
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 2.0**-126
    assert np.isfinite(w.detach().numpy()).all()
    assert w.tolist() != [1, 1, 1]


@pytest.mark.parametrize("dtype", [tinydl.float16, tinydl.bfloat16])
def test_a_loss_of_16_bits(device, dtype, torch):
    """The scale is more than float16 holds: PyTorch too gives float32 for a loss without axes."""
    loss = tinydl.tensor(0.75, dtype=dtype, device=device)
    scaled = GradScaler(device).scale(loss)
    theirs = torch.amp.GradScaler("cpu").scale(torch.tensor(0.75, dtype=getattr(torch, str(dtype))))
    assert theirs.dtype == torch.float32
    assert scaled.dtype == tinydl.float32
    assert scaled.item() == theirs.item() == 0.75 * 65536
    w = tinydl.ones(3).to(device).requires_grad_()
    scaler = GradScaler(device, init_scale=1024.0)
    scaler.scale((w * 0.5).to(dtype).sum()).backward()
    scaler.unscale_(optim.SGD([w], lr=1.0))
    assert w.grad.tolist() == [0.5] * 3


def test_disabled():
    scaler = GradScaler("cpu", enabled=False)
    (w,) = weights(count=1)
    optimizer = optim.SGD([w], lr=1.0)
    loss = w.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    assert scaler.step(optimizer, lambda: 7) == 7
    scaler.update()
    scaler.load_state_dict({})
    assert not scaler.is_enabled()
    np.testing.assert_array_equal(w.detach().numpy(), np.zeros(3))


@pytest.mark.skipif(tinydl.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu():
    with pytest.warns(UserWarning, match="device 'cuda' is not available; the scaler is disabled"):
        assert not GradScaler().is_enabled()
    assert not GradScaler(enabled=False).is_enabled()
    with pytest.raises(ValueError, match="device 'tpu'"):
        GradScaler("tpu")


def test_setters():
    scaler = GradScaler("cpu")
    scaler.set_growth_factor(3.0)
    scaler.set_backoff_factor(0.25)
    scaler.set_growth_interval(7)
    assert (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()) == (3.0, 0.25, 7)
    scaler.update(16.0)
    assert scaler.get_scale() == 16.0
    scaler.update(tinydl.tensor(32.0))
    assert scaler.get_scale() == 32.0


# -- Errors -----------------------------------------------------------------------------------------------------


def ready():
    (w,) = weights(count=1)
    w.grad = tinydl.ones(3)
    return GradScaler("cpu"), optim.SGD([w], lr=1.0), w


def test_the_order_of_calls():
    scaler, optimizer, w = ready()
    with pytest.raises(RuntimeError, match="update: no gradients were looked at"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="unscaled already"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="step: this optimizer has stepped"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="unscale_: this optimizer has stepped"):
        scaler.unscale_(optimizer)
    scaler.update()
    scaler.step(optimizer)
    w.grad = None
    scaler.update()
    with pytest.raises(RuntimeError, match="no parameter of the optimizer has a gradient"):
        scaler.step(optimizer)


def test_refused():
    scaler, optimizer, _ = ready()
    with pytest.raises(RuntimeError, match="closure"):
        scaler.step(optimizer, lambda: 1)
    with pytest.raises(TypeError, match="got float"):
        scaler.scale(1.0)
    half = tinydl.ones(2).to(tinydl.float16).requires_grad_()
    half.grad = tinydl.ones(2).to(tinydl.float16)
    with pytest.raises(ValueError, match="gradients of float16"):
        scaler.unscale_(optim.SGD([half], lr=1.0))
    before = scaler.state_dict()
    with pytest.raises(ValueError, match=r"lacks .*growth_interval.*; was the scaler enabled"):
        scaler.load_state_dict({"scale": 1.0})
    assert scaler.state_dict() == before


@pytest.mark.parametrize(
    "options",
    [
        {"init_scale": 0.0},
        {"init_scale": INF},
        {"growth_factor": 1.0},
        {"backoff_factor": 1.0},
        {"backoff_factor": 0.0},
        {"growth_interval": 0},
    ],
)
def test_ranges(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        GradScaler("cpu", **options)
