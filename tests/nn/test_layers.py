"""Each layer against PyTorch's with the same parameters: outputs and gradients; and its wrong calls."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tests.support.compare import assert_close
from tinydl import nn

IMAGE = (2, 4, 7, 9)
SIGNAL = (2, 4, 11)
LAYERS = [
    ("Linear", (5, 3), {}, (2, 5)),
    ("Linear", (5, 3), {"bias": False}, (2, 3, 5)),
    ("Conv2d", (4, 6, 3), {}, IMAGE),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "bias": False}, IMAGE),
    ("Conv2d", (4, 6, 3), {"dilation": 2, "groups": 2, "padding": 2}, IMAGE),
    ("Conv2d", (4, 4, 3), {"groups": 4, "padding": "same"}, IMAGE),
    ("Conv2d", (4, 6, 2), {"padding": "same"}, IMAGE),
    ("Conv2d", (4, 6, (4, 3)), {"padding": "same", "dilation": (1, 3)}, IMAGE),
    ("Conv2d", (4, 6, (1, 4)), {"padding": "same", "dilation": (2, 3)}, IMAGE),
    ("Conv2d", (4, 6, 3), {"padding": "valid"}, IMAGE),
    ("Conv2d", (4, 6, 3), {}, IMAGE[1:]),
    ("Conv1d", (4, 6, 3), {}, SIGNAL),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 2, "dilation": 2, "groups": 2, "bias": False}, SIGNAL),
    ("Conv1d", (4, 8, 4), {"padding": "same", "groups": 4}, SIGNAL[1:]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, SIGNAL),
    ("ConvTranspose1d", (4, 6, 3), {"groups": 2, "bias": False}, SIGNAL[1:]),
    ("ConvTranspose2d", (4, 6, 3), {}, IMAGE),
    ("ConvTranspose2d", (4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, True, (2, 1)), {}, IMAGE),
    ("ConvTranspose2d", (4, 4, 3), {"stride": 2, "groups": 4, "bias": False}, IMAGE[1:]),
    ("MaxPool1d", (2,), {}, SIGNAL),
    ("MaxPool1d", (3, 1, 1, 2), {"ceil_mode": True}, SIGNAL[1:]),
    ("AvgPool1d", (2,), {}, SIGNAL),
    ("AvgPool1d", (3, 2, 1, True, False), {}, SIGNAL),
    ("AdaptiveAvgPool1d", (4,), {}, SIGNAL),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGE),
    ("AdaptiveAvgPool2d", ((None, 3),), {}, IMAGE),
    ("AdaptiveMaxPool1d", (4,), {}, SIGNAL),
    ("AdaptiveMaxPool2d", ((2, None),), {}, IMAGE),
    ("Unfold", ((2, 3), 2, 1, (1, 2)), {}, IMAGE),
    ("Fold", ((4, 5), 2, 1, 1, (1, 2)), {}, (2, 8, 15)),
    ("PixelShuffle", (2,), {}, IMAGE),
    ("PixelUnshuffle", (3,), {}, (2, 2, 6, 9)),
    ("ChannelShuffle", (2,), {}, IMAGE),
    ("MaxPool2d", (2,), {}, IMAGE),
    ("MaxPool2d", (3,), {"stride": (1, 2)}, IMAGE),
    ("AvgPool2d", (2,), {}, IMAGE),
    ("AvgPool2d", ((2, 3),), {"stride": 1}, IMAGE),
    ("ReLU", (), {}, (3, 4)),
    ("Sigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("Softmax", (), {"dim": 1}, (3, 4)),
    ("Softmax", (), {"dim": -2}, (3, 4, 2)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch's
@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS)
def test_against_pytorch(torch, rng, name, args, options, shape):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    ours.load_state_dict(theirs.state_dict())
    x = normal(rng, shape)
    a, b = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = ours(a), theirs(b)
    upstream = normal(rng, tuple(expected.shape))
    (out * tinydl.tensor(upstream)).sum().backward()
    (expected * torch.tensor(upstream)).sum().backward()
    assert_close(out, expected.detach(), "gradient", length=36, scale=1.0)
    assert_close(a.grad, b.grad, "gradient", length=54, scale=1.0)
    assert repr(ours) == repr(theirs)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad, "gradient", length=2 * 63, scale=max(1.0, q.grad.abs().max().item()))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_against_pytorch(torch, rng, reduction):
    x, y, labels = normal(rng, (5, 7)), normal(rng, (5, 7)), rng.integers(0, 7, 5)
    for name, target in (("CrossEntropyLoss", labels), ("MSELoss", y)):
        a, b = tinydl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        out = getattr(nn, name)(reduction=reduction)(a, tinydl.tensor(target))
        expected = getattr(torch.nn, name)(reduction=reduction)(b, torch.tensor(target))
        assert_close(out, expected.detach(), "loss", length=35, scale=max(1.0, expected.abs().max().item()))
        upstream = normal(rng, tuple(expected.shape))
        (out * tinydl.tensor(upstream)).sum().backward()
        (expected * torch.tensor(upstream)).sum().backward()
        assert_close(a.grad, b.grad, "gradient", length=7, scale=max(1.0, b.grad.abs().max().item()))


def test_dropout():
    tinydl.manual_seed(0)
    x = tinydl.ones(1000)
    layer = nn.Dropout(0.25)
    values = np.asarray(layer(x))
    kept = values != 0
    assert_close(values[kept], np.full(kept.sum(), 1 / 0.75), "random")
    assert 690 < kept.sum() < 810
    assert not np.array_equal(np.asarray(layer(x)), values)
    assert np.array_equal(np.asarray(layer.eval()(x)), np.asarray(x))


def test_relu_in_place():
    x = tinydl.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace=True)(x) is x
    assert x.tolist() == [0, 2]


def test_the_memory_of_convolution_weights():
    weight = nn.Conv2d(4, 8, (3, 5), groups=2).weight
    assert weight.shape == (8, 2, 3, 5)
    assert weight._data.transpose(2, 3, 1, 0).flags.c_contiguous


def test_float64():
    layer = nn.Conv2d(2, 3, 2, dtype=tinydl.float64)
    assert layer.weight.dtype == layer.bias.dtype == tinydl.float64
    out = layer(tinydl.ones(1, 2, 4, 4, dtype=tinydl.float64))
    assert out.dtype == tinydl.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(3, 2)(tinydl.ones(4, 5)), r"Linear\(in_features=3.*\(4, 5\), wanted \(..., 3\).*\(2, 3\)"),
        (lambda: nn.Linear(3, 2)(tinydl.tensor(1.0)), r"an input of shape \(\)"),
        (lambda: nn.Conv2d(3, 2, 3)(tinydl.ones(1, 1, 8, 8)), r"\(1, 1, 8, 8\), wanted \(N, 3, H, W\).*\(2, 3, 3, 3\)"),
        (lambda: nn.Conv2d(3, 2, 3)(tinydl.ones(8, 8)), r"Conv2d\(3, 2.*\(8, 8\)"),
        (lambda: nn.Linear(-1, 2), "in_features=-1"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be a positive multiple of groups=2, got 3"),
        (lambda: nn.Conv2d(2, 3, 3, groups=2), "out_channels must be a positive multiple of groups=2, got 3"),
        (lambda: nn.Conv2d(2, 0, 3), "out_channels"),
        (lambda: nn.Conv2d(2, 2, 3, groups=0), "groups must be positive"),
        (lambda: nn.Conv2d(2, 2, 0), "Conv2d: got kernel_size=0"),
        (lambda: nn.Conv2d(2, 2, (3, 3, 3)), "Conv2d: got kernel_size="),
        (lambda: nn.Conv2d(2, 2, 3, stride=0), "Conv2d: got stride=0"),
        (lambda: nn.Conv2d(2, 2, 3, padding=-1), "Conv2d: got padding=-1"),
        (lambda: nn.Conv2d(2, 2, 3, padding="full"), "padding 'full' is unknown"),
        (lambda: nn.Conv2d(2, 2, 3, padding="same", stride=2), "needs stride 1"),
        (
            lambda: nn.Conv2d(2, 2, 3, padding_mode="mirror"),
            "padding_mode 'mirror' is not available; known: zeros, ref",
        ),
        (lambda: nn.ConvTranspose2d(2, 2, 3, padding_mode="reflect"), "padding_mode 'reflect' .* known: zeros"),
        (lambda: nn.Conv1d(3, 2, 3)(tinydl.ones(1, 2, 8)), r"wanted \(N, 3, L\); the weight has shape \(2, 3, 3\)"),
        (lambda: nn.Conv1d(3, 2, (3, 3)), "Conv1d: got kernel_size="),
        (lambda: nn.ConvTranspose1d(3, 4, 3, groups=2), "ConvTranspose1d: in_channels must be a positive multiple"),
        (lambda: nn.ConvTranspose2d(2, 2, 3, output_padding=-1), "ConvTranspose2d: got output_padding=-1"),
        (lambda: nn.ConvTranspose2d(3, 2, 3)(tinydl.ones(1, 2, 8, 8)), r"wanted \(N, 3, H, W\)"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, 2)(tinydl.ones(1, 1, 2, 2), output_size=(5, 7)),
            r"output_size=\(5, 7\), wanted from \(5, 5\) to \(6, 6\)",
        ),
        (lambda: nn.ConvTranspose2d(1, 1, 3)(tinydl.ones(1, 1, 2, 2), output_size=(5,)), "wanted 2 or 4 sizes"),
        (lambda: nn.AvgPool1d((2, 2)), "AvgPool1d: got kernel_size"),
        (lambda: nn.Conv2d(2, 2, 3, device="cuda"), "device 'cuda'"),
        (lambda: nn.Dropout(1.5), "got 1.5"),
        (lambda: nn.MSELoss(reduction="max"), "reduction 'max' is unknown"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_functional_has_the_layers_functions(rng):
    F = nn.functional
    x = tinydl.tensor(normal(rng, (2, 3)))
    linear = nn.Linear(3, 4)
    assert F.linear(x, linear.weight, linear.bias).tolist() == linear(x).tolist()
    image, conv = tinydl.tensor(normal(rng, (1, 2, 5, 5))), nn.Conv2d(2, 3, 3)
    assert F.conv2d(image, conv.weight, conv.bias).tolist() == conv(image).tolist()
    assert F.max_pool2d(image, 2).tolist() == nn.MaxPool2d(2)(image).tolist()
    assert F.avg_pool2d(image, 2).tolist() == nn.AvgPool2d(2)(image).tolist()
    assert F.relu(x).tolist() == nn.ReLU()(x).tolist()
    assert F.sigmoid(x).tolist() == nn.Sigmoid()(x).tolist()
    assert F.tanh(x).tolist() == nn.Tanh()(x).tolist()
    assert F.softmax(x, 1).tolist() == nn.Softmax(1)(x).tolist()
    assert F.dropout(x, training=False).tolist() == x.tolist()
    labels = tinydl.tensor([0, 2])
    assert F.cross_entropy(x, labels).item() == nn.CrossEntropyLoss()(x, labels).item()
    assert F.mse_loss(x, x + 1).item() == nn.MSELoss()(x, x + 1).item()
    assert F.relu(x, inplace=True) is x
