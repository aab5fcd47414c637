"""Every layer takes what a product in 16 bits gave, and trains, within a block."""

import inspect
import re

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl import autocast, keras, nn

IMAGE, SIGNAL, TEXT = (2, 4, 6, 6), (2, 4, 6), (5, 2, 8)

ARGUMENTS = {  # of the layers that need some; the others take none, and images
    "AdaptiveAvgPool1d": ((2,), SIGNAL),
    "AdaptiveAvgPool2d": ((2,), IMAGE),
    "AdaptiveMaxPool1d": ((2,), SIGNAL),
    "AdaptiveMaxPool2d": ((2,), IMAGE),
    "AvgPool1d": ((2,), SIGNAL),
    "AvgPool2d": ((2,), IMAGE),
    "BatchNorm1d": ((4,), SIGNAL),
    "BatchNorm2d": ((4,), IMAGE),
    "ChannelShuffle": ((2,), IMAGE),
    "CircularPad1d": ((1,), SIGNAL),
    "CircularPad2d": ((1,), IMAGE),
    "ConstantPad1d": ((1, 2.0), SIGNAL),
    "ConstantPad2d": ((1, 2.0), IMAGE),
    "Conv1d": ((4, 5, 3), SIGNAL),
    "Conv2d": ((4, 5, 3), IMAGE),
    "ConvTranspose1d": ((4, 5, 3), SIGNAL),
    "ConvTranspose2d": ((4, 5, 3), IMAGE),
    "Dropout1d": ((), SIGNAL),
    "Fold": (((4, 4), 2), (1, 8, 9)),
    "GRU": ((8, 5), TEXT),
    "GRUCell": ((8, 5), (2, 8)),
    "GroupNorm": ((2, 4), IMAGE),
    "InstanceNorm1d": ((4,), SIGNAL),
    "InstanceNorm2d": ((4,), IMAGE),
    "LSTM": ((8, 5), TEXT),
    "LSTMCell": ((8, 5), (2, 8)),
    "LayerNorm": ((6,), IMAGE),
    "Linear": ((6, 5), IMAGE),
    "LocalResponseNorm": ((3,), IMAGE),
    "LogSoftmax": ((1,), IMAGE),
    "MaxPool1d": ((2,), SIGNAL),
    "MaxPool2d": ((2,), IMAGE),
    "PReLU": ((4,), IMAGE),
    "PixelShuffle": ((2,), IMAGE),
    "PixelUnshuffle": ((2,), IMAGE),
    "RMSNorm": ((6,), IMAGE),
    "RNN": ((8, 5), TEXT),
    "RNNCell": ((8, 5), (2, 8)),
    "ReflectionPad1d": ((1,), SIGNAL),
    "ReflectionPad2d": ((1,), IMAGE),
    "ReplicationPad1d": ((1,), SIGNAL),
    "ReplicationPad2d": ((1,), IMAGE),
    "Softmax": ((1,), IMAGE),
    "Softmin": ((1,), IMAGE),
    "Threshold": ((0.3, 0.2), IMAGE),
    "TransformerEncoderLayer": ((8, 2, 16, 0.0), TEXT),
    "Unflatten": ((1, (2, 2)), IMAGE),
    "Unfold": ((2,), IMAGE),
    "Upsample": ((None, 2), IMAGE),
    "UpsamplingBilinear2d": ((None, 2), IMAGE),
    "UpsamplingNearest2d": ((None, 2), IMAGE),
    "ZeroPad1d": ((1,), SIGNAL),
    "ZeroPad2d": ((1,), IMAGE),
}
# With other arguments than one tensor of floats, with nothing to compute, or the same code as others.
OTHER = """
    Bilinear CosineSimilarity Embedding EmbeddingBag MaxUnpool1d MaxUnpool2d Module ModuleDict ModuleList
    MultiheadAttention PairwiseDistance ParameterDict ParameterList Sequential Transformer TransformerDecoder
    TransformerDecoderLayer TransformerEncoder
"""
RANDOM = {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "RReLU"}
LAYERS = [
    name
    for name, cls in sorted(vars(nn).items())
    if inspect.isclass(cls)
    and issubclass(cls, nn.Module)
    and not re.search("Loss|Base|Norm3d|Pad3d", name)
    and name not in OTHER.split()
]


def made(name):
    tinydl.manual_seed(0)
    return getattr(nn, name)(*ARGUMENTS.get(name, ((), IMAGE))[0])


def first(result):
    return result if isinstance(result, tinydl.Tensor) else first(result[0])


def plain(layer, x):
    out = first(layer(x))
    out.sum().backward()
    return out.detach().cpu().numpy()


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, device):
    shape = ARGUMENTS.get(name, ((), IMAGE))[1]
    x = tinydl.tensor(np.random.default_rng(2).uniform(0.1, 0.9, shape).astype(np.float32)).to(tinydl.bfloat16)
    if name in RANDOM:
        tinydl.manual_seed(3)
    expected = plain(made(name).to(device), x.float().to(device).requires_grad_())
    layer, low = made(name).to(device), x.to(device).requires_grad_()
    with autocast(device, dtype=tinydl.bfloat16):
        got = first(layer(low))
    assert got.dtype in (tinydl.bfloat16, tinydl.float32)
    if name not in RANDOM:
        scale = np.abs(expected).max() + 1
        assert_close(got.detach().cpu().float(), expected, "gradient", scale=scale, dtype=tinydl.bfloat16)
    got.float().sum().backward()
    assert low.grad.dtype == tinydl.bfloat16
    for parameter in layer.parameters():
        assert parameter.grad is None or parameter.grad.dtype == tinydl.float32


KERAS = [
    (keras.layers.Conv1D(5, 3, padding="causal"), (2, 6, 4)),
    (keras.layers.Conv2D(5, 3, activation="relu"), (2, 6, 6, 4)),
    (keras.layers.BatchNormalization(), (2, 6, 6, 4)),
    (keras.layers.BatchNormalization(), (5, 4)),
    (keras.layers.GroupNormalization(2), (2, 6, 6, 4)),
    (keras.layers.LayerNormalization(), (2, 6, 4)),
    (keras.layers.LSTM(5, return_sequences=True), (2, 6, 4)),
    (keras.layers.GRU(5), (2, 6, 4)),
    (keras.layers.Dense(5, activation="softmax"), (2, 4)),
    (keras.layers.Dropout(0.5), (2, 4)),
    (keras.layers.MaxPooling2D(), (2, 6, 6, 4)),
    (keras.layers.UpSampling2D(), (2, 6, 6, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), KERAS, ids=lambda value: getattr(value, "name", None))
def test_keras_layers(layer, shape):
    x = tinydl.tensor(np.random.default_rng(2).uniform(0.1, 0.9, shape).astype(np.float32)).to(tinydl.bfloat16)
    expected = layer(x.float(), training=True).detach().numpy()
    low = x.clone().requires_grad_()
    with autocast("cpu"):
        got = layer(low, training=True)
    got.float().sum().backward()
    assert low.grad.dtype == tinydl.bfloat16
    if "dropout" not in layer.name:
        assert_close(got.detach().float(), expected, "gradient", scale=1, dtype=tinydl.bfloat16)
