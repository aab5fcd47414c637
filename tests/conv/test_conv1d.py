"""conv1d, and the layers' paddings, against PyTorch and by differences."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl
from tests.support.arrays import layouts, normal
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.ops.conv import conv1d

from .reference import conv2d as reference


@st.composite
def calls(draw):
    """Shapes of x and the weight, and options."""
    groups = draw(st.sampled_from([1, 1, 2, 5]))
    kernel, stride, dilation = (draw(st.integers(1, most)) for most in (4, 3, 3))
    reach = dilation * (kernel - 1) + 1
    padding = draw(st.sampled_from([0, 1, 3, "valid", *(["same"] if stride == 1 else [])]))
    length = draw(st.integers(reach, reach + 12))
    channels, filters = draw(st.integers(1, 3)) * groups, draw(st.sampled_from([1, 2, 17])) * groups
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (draw(st.integers(0, 3)), channels, length), (filters, channels // groups, kernel), options


def sides(padding, reach):
    if padding == "same":
        return reach // 2, reach - reach // 2
    return (0, 0) if padding == "valid" else (padding, padding)


@given(call=calls(), seed=st.integers(0, 2**32 - 1))
def test_against_the_definition(call, seed):
    x_shape, w_shape, options = call
    rng = np.random.default_rng(seed)
    x, w, b = normal(rng, x_shape), normal(rng, w_shape), normal(rng, w_shape[:1])
    before, after = sides(options["padding"], options["dilation"] * (w_shape[2] - 1))
    full = (1, options["stride"]), (0, 0, before, after), (1, options["dilation"]), options["groups"]
    expected = reference(x[:, :, None], w[:, :, None], *full)[:, :, 0] + b[:, None]
    scale = reference(np.abs(x)[:, :, None], np.abs(w)[:, :, None], *full)[:, :, 0] + np.abs(b)[:, None]
    for (_, lx), (_, lw) in zip(layouts(x), layouts(w), strict=True):
        got = conv1d(tinydl.from_numpy(lx), tinydl.from_numpy(lw), tinydl.tensor(b), **options)
        assert_close(got, expected, "conv", length=w[0].size, scale=scale)


@pytest.mark.filterwarnings("ignore:Using padding=.same.")
@given(call=calls(), seed=st.integers(0, 2**32 - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_torch(torch, call, seed):
    x_shape, w_shape, options = call
    rng = np.random.default_rng(seed)
    arrays = [normal(rng, s, np.float64) for s in (x_shape, w_shape, w_shape[:1])]
    ours = [tinydl.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, expected = conv1d(*ours, **options), torch.nn.functional.conv1d(*theirs, **options)
    upstream = normal(rng, y.shape, np.float64)
    y.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    assert_close(y, expected.detach().numpy(), "gradient", length=24, scale=10)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a.grad, b.grad.numpy(), "gradient", length=100, scale=20)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"activation": "tanh"}, {"groups": 3}], ids=str)
def test_gradcheck(options, rng):
    per_group = 3 // options.get("groups", 1)
    x, w, b = (tinydl.tensor(rng.standard_normal(s), requires_grad=True) for s in [(2, 3, 7), (6, per_group, 2), (6,)])
    assert gradcheck(lambda *args: conv1d(*args, **options), [x, w, b])
    assert gradcheck(lambda a, b: conv1d(a[0], b, **options), [x, w])


def test_a_saved_signal_may_not_change():
    x, w = tinydl.ones(1, 2, 5), tinydl.ones(3, 2, 2, requires_grad=True)
    y = conv1d(x, w)
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


WRONG = [
    ({"x": (2, 3, 8, 8)}, r"input of shape \(2, 3, 8, 8\), wanted \(N, C, L\) or \(C, L\)"),
    ({"w": (5, 3)}, r"weight of shape \(5, 3\), wanted \(O, C / groups, K\)"),
    ({"w": (5, 4, 3)}, r"weight has 4 input channels per group, input \(2, 3, 8\) with groups=1 needs 3"),
    ({"groups": 2}, "groups=2 does not divide the 3 input channels and 5 filters"),
    ({"groups": 0}, "groups=0"),
    ({"b": (4,)}, r"bias of shape \(4,\), wanted \(5,\)"),
    ({"stride": 0}, "stride 0"),
    ({"dilation": -1}, "dilation -1"),
    ({"padding": -1}, "padding -1"),
    ({"padding": (1, 1)}, r"got padding=\(1, 1\), wanted one integer"),
    ({"padding": "full"}, "padding='full'"),
    ({"padding": "same", "stride": 2}, "'same' needs stride 1"),
    ({"w": (5, 3, 9)}, "the kernel reaches over 9 elements .* the padded input has 8"),
    ({"activation": "gelu"}, "activation 'gelu'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_calls(change, message):
    call = {"x": (2, 3, 8), "w": (5, 3, 3), "b": (5,)} | change
    arrays = [tinydl.ones(*call.pop(name)) for name in ("x", "w", "b")]
    with pytest.raises(ValueError, match=f"conv1d: .*{message}"):
        conv1d(*arrays, **call)


def test_wrong_dtypes():
    x, w = tinydl.ones(2, 3, 8), tinydl.ones(5, 3, 3)
    with pytest.raises(TypeError, match="float32 and float64"):
        conv1d(x, w.double())
    with pytest.raises(TypeError, match="conv1d: got dtype int64"):
        conv1d(x.long(), w.long())


@pytest.mark.filterwarnings("ignore:Using padding=.same.")
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Conv1d", {"padding": 2}),
        ("Conv1d", {"padding": "same", "dilation": 3}),
        ("Conv2d", {"padding": (2, 1), "stride": 2}),
        ("Conv2d", {"padding": "same"}),
        ("Conv2d", {"padding": "valid"}),
    ],
)
def test_padding_modes_equal_torch(torch, rng, mode, name, options):
    pytest.importorskip("tinydl.ops.pad")
    ours = getattr(nn, name)(4, 6, 4, padding_mode=mode, **options)
    theirs = getattr(torch.nn, name)(4, 6, 4, padding_mode=mode, **options)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    x = normal(rng, (2, 4, 11, 12)[: 3 if name == "Conv1d" else 4])
    a, b = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = ours(a), theirs(b)
    upstream = normal(rng, out.shape)
    out.backward(tinydl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    assert_close(out, expected.detach(), "gradient", length=64, scale=2.0)
    assert_close(a.grad, b.grad, "gradient", length=96, scale=2.0)
    assert_close(ours.weight.grad, theirs.weight.grad, "gradient", length=288, scale=10.0)
