"""Activations over drawn arguments against PyTorch, as functions, in place and as layers."""

import inspect

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck

number = st.floats(-3, 3).map(lambda v: round(v, 2))
positive = st.floats(0.05, 4).map(lambda v: round(v, 2))
PLAIN = "relu relu6 selu silu mish softsign logsigmoid tanhshrink hardsigmoid hardswish sigmoid tanh"
PLAIN_LAYERS = "ReLU ReLU6 SELU SiLU Mish Softsign Hardsigmoid Hardswish LogSigmoid Tanhshrink Sigmoid Tanh Identity"
ARGUMENTS = {
    "leaky_relu": st.tuples(number),
    "elu": st.tuples(number),
    "celu": st.tuples(positive),
    "gelu": st.sampled_from(["none", "tanh"]).map(lambda approximate: {"approximate": approximate}),
    "softplus": st.tuples(positive, number.map(lambda v: 5 * v)),
    "hardtanh": st.tuples(number, positive).map(lambda pair: (pair[0], pair[0] + pair[1])),
    "threshold": st.tuples(number, number),
    "hardshrink": st.tuples(positive),
    "softshrink": st.tuples(positive),
    "glu": st.tuples(st.sampled_from([-2, -1, 0, 1])),
    **{name: st.just(()) for name in PLAIN.split()},
}
LAYERS = {
    **{name: [()] for name in PLAIN_LAYERS.split()},
    "LeakyReLU": [(), (0.3,)],
    "ELU": [(), (0.5,)],
    "CELU": [(), (1.5,)],
    "GELU": [(), ("tanh",)],
    "Softplus": [(), (2, 3)],
    "Hardtanh": [(), (-0.5, 0.25)],
    "Softshrink": [(), (0.25,)],
    "Hardshrink": [(), (0.25,)],
    "Threshold": [(0.1, 20)],
    "PReLU": [(), (6, 0.1)],
    "GLU": [(), (1,)],
}
IN_PLACE = (
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "hardtanh",
    "threshold",
    "relu6",
    "silu",
    "mish",
    "hardsigmoid",
    "hardswish",
)
INT_RESULTS = ("relu", "relu6", "hardtanh", "threshold")


def call(functional, name, arguments, x, **options):
    positional, named = ((), arguments) if isinstance(arguments, dict) else (arguments, {})
    return getattr(functional, name)(x, *positional, **named, **options)


def compare_gradients(ours, theirs, y, expected, rng, torch):
    """Values, and gradients under a random upstream one; errors are relative to the input's size."""
    x = np.abs(theirs.detach().numpy())
    values = expected.detach().numpy()
    assert_close(y, values, "function", scale=np.abs(values) + (x if x.shape == values.shape else 0))
    upstream = normal(rng, values.shape, values.dtype)
    y.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    slopes = theirs.grad.numpy()
    assert_close(
        ours.grad, slopes, "gradient", scale=np.abs(slopes) + np.abs(upstream).max(initial=0), dtype=np.float32
    )


@pytest.mark.parametrize("name", ARGUMENTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), wide=st.booleans())
def test_functions_over_drawn_arguments(name, torch, data, seed, wide):
    rng = np.random.default_rng(seed)
    arguments = data.draw(ARGUMENTS[name])
    x = 3 * normal(rng, (4, 6), np.float64 if wide else np.float32)
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = call(tinydl.nn.functional, name, arguments, ours)
    compare_gradients(ours, theirs, y, call(torch.nn.functional, name, arguments, theirs), rng, torch)


@pytest.mark.parametrize("name", ARGUMENTS)
@settings(max_examples=5)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_gradcheck(name, data, seed):
    x = np.random.default_rng(seed).uniform(0.02, 0.98, (2, 6)) + 0.0371 + np.arange(-6, 6).reshape(2, 6)
    arguments = data.draw(ARGUMENTS[name])
    joints = [v for v in (arguments.values() if isinstance(arguments, dict) else arguments) if not isinstance(v, str)]
    for joint in (0, 3, -3, 6, *joints, *(-v for v in joints)):
        x = np.where(np.abs(x - joint) < 1e-3, x + 0.01, x)
    gradcheck(lambda t: call(tinydl.nn.functional, name, arguments, t), [tinydl.tensor(x, requires_grad=True)])


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name, torch, rng):
    arguments = {"threshold": (0.1, 5.0)}.get(name, ())
    x = 3 * normal(rng, (4, 6))
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours * 1, theirs * 1
    assert call(tinydl.nn.functional, name, arguments, y, inplace=True) is y
    call(torch.nn.functional, name, arguments, expected, inplace=True)
    compare_gradients(ours, theirs, y, expected, rng, torch)
    with pytest.raises(RuntimeError, match="leaf that requires a gradient"):
        call(tinydl.nn.functional, name, arguments, ours, inplace=True)


@pytest.mark.parametrize(("name", "arguments"), [(name, a) for name, all_ in LAYERS.items() for a in all_], ids=str)
def test_layers(name, arguments, torch, rng):
    layer, peer = getattr(tinydl.nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert repr(layer) == repr(peer)
    assert [(k, v.shape) for k, v in layer.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in peer.state_dict().items()
    ]
    x = 3 * normal(rng, (4, 6))
    ours, theirs = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    compare_gradients(ours, theirs, layer(ours), peer(theirs), rng, torch)
    for mine, other in zip(layer.parameters(), peer.parameters(), strict=True):
        assert_close(mine.grad, other.grad.numpy(), "gradient", scale=np.abs(x).sum())
    wanted = [
        p for p in inspect.signature(type(peer)).parameters if p not in ("args", "kwargs", "min_value", "max_value")
    ]
    got = [p for p in inspect.signature(type(layer)).parameters if p not in ("args", "kwargs")]
    assert got == wanted
    if "inplace" in wanted:
        changed = tinydl.tensor(x)
        assert getattr(tinydl.nn, name)(*arguments, inplace=True)(changed) is changed
        assert_close(changed, peer(torch.tensor(x)).numpy(), "function", scale=np.abs(x))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (0, 3)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_prelu(shape, channels, torch, rng):
    if channels > 1 and len(shape) < 2:
        pytest.skip("one channel")
    x, w = normal(rng, shape, np.float64), rng.uniform(0, 1, channels)
    ours = [tinydl.tensor(v, requires_grad=True) for v in (x, w)]
    theirs = [torch.tensor(v, requires_grad=True) for v in (x, w)]
    y, expected = tinydl.prelu(*ours), torch.prelu(*theirs)
    compare_gradients(ours[0], theirs[0], y, expected, rng, torch)
    assert_close(ours[1].grad, theirs[1].grad.numpy(), "gradient", length=x.size, scale=np.abs(x).sum())
    gradcheck(tinydl.prelu, ours)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_integers_and_bools(name, torch):
    arguments = {"threshold": (1, 5)}.get(name, ())
    for values in ([3, -2, 0, 8], [True, False]):
        mine = lambda: call(tinydl.nn.functional, name, arguments, tinydl.tensor(values))  # noqa: B023, E731
        try:
            expected = call(torch.nn.functional, name, arguments, torch.tensor(values))
        except (RuntimeError, NotImplementedError):
            with pytest.raises(TypeError):
                mine()
            continue
        got = mine()
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
        assert_close(got, expected.numpy(), "function", dtype=np.float32)
        assert (got.dtype == np.int64) == (name in INT_RESULTS)


def test_far_from_zero_nothing_overflows():
    x = tinydl.tensor(np.array([-1e4, -200, 200, 1e4], np.float32), requires_grad=True)
    functional = tinydl.nn.functional
    for name, expected in (
        ("silu", [0, 0, 200, 1e4]),
        ("mish", [0, 0, 200, 1e4]),
        ("gelu", [0, 0, 200, 1e4]),
        ("softplus", [0, 0, 200, 1e4]),
        ("logsigmoid", [-1e4, -200, 0, 0]),
        ("elu", [-1, -1, 200, 1e4]),
    ):
        x.grad = None
        y = getattr(functional, name)(x)
        y.sum().backward()
        assert y.tolist() == expected, name
        assert np.isin(x.grad.numpy(), [0, 1]).all(), name


@pytest.mark.parametrize(
    ("error", "message", "wrong"),
    [
        (ValueError, "gelu: got approximate='erf', wanted 'none' or 'tanh'", lambda f, x: f.gelu(x, approximate="erf")),
        (ValueError, "celu: got alpha=0", lambda f, x: f.celu(x, 0.0)),
        (ValueError, "hardtanh: got min_val=2 above max_val=1", lambda f, x: f.hardtanh(x, 2, 1)),
        (ValueError, "softshrink: got lambd=-1, wanted at least 0", lambda f, x: f.softshrink(x, -1)),
        (ValueError, "glu: got size 3 along dim -1", lambda f, x: f.glu(x)),
        (IndexError, "glu: dim 2 is out of range", lambda f, x: f.glu(x, 2)),
        (ValueError, "glu: got a tensor without axes", lambda f, x: f.glu(x.sum())),
        (ValueError, "prelu: got 2 weights for 3 channels", lambda f, x: f.prelu(x, tinydl.ones(2))),
        (ValueError, r"prelu: got a weight of shape \(1, 1\)", lambda f, x: f.prelu(x, tinydl.ones(1, 1))),
        (TypeError, "prelu: got dtypes float32 and float64", lambda f, x: f.prelu(x, tinydl.ones(1).double())),
        (TypeError, "leaky_relu: got dtype int64, wanted a floating-point dtype", lambda f, x: f.leaky_relu(x.long())),
        (TypeError, "silu: got ndarray, wanted a tensor", lambda f, x: f.silu(x.numpy())),
        (ValueError, "Hardtanh: got min_val=2 and max_val=1", lambda f, x: tinydl.nn.Hardtanh(2, 1)),
    ],
)
def test_wrong_calls(error, message, wrong):
    with pytest.raises(error, match=message):
        wrong(tinydl.nn.functional, tinydl.ones(2, 3))
