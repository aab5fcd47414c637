"""Which dtype each operation computes in within an autocast block, on each device, and how well."""

from pathlib import Path

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl import amp
from tinydl.ops import autocast as policies

from .cases import CASES, values

LOW = {"bfloat16": tinydl.bfloat16, "float16": tinydl.float16}
FOLDER = Path(policies.__file__).parent


def policy_of(op):
    name = {"mm": "matmul", "bmm": "matmul", "mv": "matmul"}.get(op, op.split(" of ")[0])
    return policies.POLICIES[name], name in policies.ON_CPU


def wanted(op, device, given, low):
    """The result's dtype, for inputs of one dtype."""
    policy, on_cpu = policy_of(op)
    if policy == "low":
        return low if device != "cpu" or (on_cpu and low == tinydl.bfloat16) else tinydl.float32
    if policy == "float32" or (policy == "input" and device == "cpu"):
        return tinydl.float32
    return given


def inputs(op, device, dtype, requires_grad=False):
    tensors = [tinydl.tensor(a).to(device).to(dtype) for a in values(op)]
    return [t.requires_grad_() for t in tensors] if requires_grad else tensors


def plain(op, device):
    """The result in float32."""
    return CASES[op][0](*inputs(op, device, tinydl.float32))


def test_every_policy_has_a_case_and_a_place():
    named = {op.split(" of ")[0] for op in CASES} - {"mm", "bmm", "mv"}
    assert named == set(policies.POLICIES)
    assert not policies.ON_CPU - set(policies.POLICIES)
    source = "".join(path.read_text() for path in FOLDER.glob("*.py") if path.name != "autocast.py")
    for op in policies.POLICIES:
        assert f'"{op}"' in source, op


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("given", ["float32", "low"])
@pytest.mark.parametrize("op", CASES)
def test_dtypes(op, device, given, low):
    low = LOW[low]
    dtype = tinydl.float32 if given == "float32" else low
    expected = plain(op, device)
    with amp.autocast(device, low):
        got = CASES[op][0](*inputs(op, device, dtype))
    assert got.dtype == wanted(op, device, dtype, low)
    assert got.device.type == device
    exact = given == "float32" and got.dtype == tinydl.float32
    reference = expected.cpu().numpy().astype(np.float64)
    if exact:
        np.testing.assert_array_equal(got.cpu().numpy(), expected.cpu().numpy())
        return
    assert_close(got.cpu().float(), reference, "gradient", scale=np.abs(reference).max() + 1, dtype=low)


# Of the operations that have one, the gradients with respect to float32 inputs.
@pytest.mark.parametrize("op", [op for op in CASES if policy_of(op)[0] == "low"])
def test_gradients(op, device):
    tensors = inputs(op, device, tinydl.float32, requires_grad=True)
    exact = inputs(op, "cpu", tinydl.float32, requires_grad=True)
    with amp.autocast(device, tinydl.bfloat16):
        out = CASES[op][0](*tensors)
    reference = CASES[op][0](*exact)
    weights = np.random.default_rng(0).standard_normal(reference.shape).astype(np.float32)
    (out.to(tinydl.float32) * tinydl.tensor(weights).to(device)).sum().backward()
    (reference * tinydl.tensor(weights)).sum().backward()
    for got, expected in zip(tensors, exact, strict=True):
        assert got.grad.dtype == tinydl.float32
        scale = np.abs(expected.grad.numpy()).max() + 1
        assert_close(got.grad.cpu(), expected.grad.numpy(), "gradient", scale=scale, dtype=LOW["bfloat16"])


# -- Against PyTorch --------------------------------------------------------------------------------------------

# Where PyTorch's policies for the CPU are those for CUDA, and ours: it leaves softmax, sums and exponentials as they
# come there, and has kernels of 16 bits for convolutions, attention and recurrent layers.
_SHARED = """
    matmul mm bmm linear einsum addmm addbmm baddbmm mse_loss l1_loss smooth_l1_loss huber_loss cross_entropy
    nll_loss kl_div binary_cross_entropy binary_cross_entropy_with_logits poisson_nll_loss soft_margin_loss
    multi_margin_loss multilabel_margin_loss triplet_margin_loss prod cdist
"""

THEIRS = {
    "einsum": lambda torch, a, b: torch.einsum("ij,kj->ik", a, b),
    "nll_loss": lambda torch, x: torch.nn.functional.nll_loss(x, torch.tensor([1, 0])),
    "cross_entropy": lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor([1, 0])),
    "kl_div": lambda torch, x, t: torch.nn.functional.kl_div(x, t, reduction="sum"),
    "soft_margin_loss": lambda torch, x: torch.nn.functional.soft_margin_loss(x, torch.tensor([1.0, -1.0])),
    "multi_margin_loss": lambda torch, x: torch.nn.functional.multi_margin_loss(x, torch.tensor([1, 0])),
    "multilabel_margin_loss": lambda torch, x: torch.nn.functional.multilabel_margin_loss(
        x, torch.tensor([[0, -1, -1], [1, 2, -1]])
    ),
}


@pytest.mark.parametrize("given", ["float32", "bfloat16"])
@pytest.mark.parametrize("op", _SHARED.split())
def test_against_torch(torch, op, given):
    tensors = [torch.tensor(a).to(getattr(torch, given)) for a in values(op)]
    function = THEIRS.get(op) or (
        lambda torch, *args: (getattr(torch.nn.functional, op, None) or getattr(torch, op))(*args)
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = function(torch, *tensors)
    with amp.autocast("cpu", dtype=tinydl.bfloat16):
        got = CASES[op][0](*inputs(op, "cpu", tinydl.bfloat16 if given == "bfloat16" else tinydl.float32))
    assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
    reference = expected.float().numpy()
    assert_close(got.float(), reference, "gradient", scale=np.abs(reference).max() + 1, dtype=LOW["bfloat16"])


# -- Several dtypes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: a * b,
        lambda a, b: tinydl.cat([a, b]),
        lambda a, b: tinydl.stack([a, b]),
        lambda a, b: tinydl.maximum(a, b),
        tinydl.cross,
    ],
)
def test_the_rest_takes_the_widest(function, device):
    a, b = (tinydl.ones(2, 3).to(device) for _ in range(2))
    with amp.autocast(device, tinydl.bfloat16):
        assert function(a.to(tinydl.bfloat16), b).dtype == tinydl.float32
        assert function(a.to(tinydl.bfloat16), b.to(tinydl.bfloat16)).dtype == tinydl.bfloat16


def test_a_low_activation_meets_float32_weights(device):
    with amp.autocast(device, tinydl.bfloat16):
        low = tinydl.ones(2, 4, 6, 6).to(device).to(tinydl.bfloat16)
        ones = tinydl.ones
        assert tinydl.prelu(low, ones(4).to(device)).dtype == tinydl.float32
        norm = tinydl.nn.BatchNorm2d(4).to(device)
        assert norm(low).dtype == tinydl.float32
        assert norm.running_mean.dtype == tinydl.float32
        conv = tinydl.nn.Conv2d(4, 2, 3).to(device)
        assert conv(low).dtype == (tinydl.float32 if device == "cpu" else tinydl.bfloat16)


def test_float64_and_integers_stay(device):
    x = tinydl.ones(2, 2, dtype=tinydl.float64).to(device)
    with amp.autocast(device, tinydl.bfloat16):
        assert (x @ x).dtype == tinydl.float64
        assert x.exp().dtype == tinydl.float64
        assert tinydl.ones(2, dtype=tinydl.int64).sum().dtype == tinydl.int64
        assert tinydl.cross(*[tinydl.tensor([1, 2, 3])] * 2).dtype == tinydl.int64


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.exp_(),
        lambda x: x.cumsum_(0),
        lambda x: x.add_(tinydl.ones(2, 3)),
        lambda x: tinydl.nn.functional.dropout(x, 0.5, inplace=True),
        lambda x: tinydl.nn.functional.alpha_dropout(x, 0.5, True, inplace=True),
    ],
)
def test_changes_in_place_keep_the_dtype(change):
    x = tinydl.ones(2, 3).to(tinydl.bfloat16)
    with amp.autocast("cpu"):
        assert change(x) is x
    assert x.dtype == tinydl.bfloat16


def test_a_dtype_that_is_asked_for_stays():
    x = tinydl.ones(2, 3).to(tinydl.bfloat16)
    with amp.autocast("cpu"):
        assert tinydl.sum(x, dtype=tinydl.float64).dtype == tinydl.float64
        assert tinydl.cumsum(x, 0, dtype=tinydl.bfloat16).dtype == tinydl.bfloat16
        assert tinydl.softmax(x, 0, dtype=tinydl.bfloat16).dtype == tinydl.bfloat16


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks_of_attention(device, need_weights, kind):
    tinydl.manual_seed(0)
    layer = tinydl.nn.MultiheadAttention(8, 2)
    x = tinydl.randn(5, 2, 8)
    mask = tinydl.nn.Transformer.generate_square_subsequent_mask(5)
    mask = mask if kind == "float" else mask < 0
    expected = layer(x, x, x, attn_mask=mask, need_weights=need_weights)[0].detach().numpy()
    layer.to(device)
    there, options = x.to(device), {"attn_mask": mask.to(device), "need_weights": need_weights}
    with amp.autocast(device, tinydl.bfloat16):
        got, _ = layer(there, there, there, **options)
    assert got.dtype == tinydl.bfloat16
    assert_close(got.detach().cpu().float(), expected, "gradient", scale=1, dtype=LOW["bfloat16"])
