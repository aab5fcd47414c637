"""The documents' three convolutional networks for grey images of 28 x 28 pixels, (N, 1, 28, 28), and 10 classes.

They return logits: the softmax at the documents' end belongs to the loss (`nn.CrossEntropyLoss`). Flattening is
PyTorch's, over (C, H, W), so that a state dict of the same layers in PyTorch fits; Keras flattens over (H, W, C), so
that the inputs of the first dense layer's weights from Keras need reordering.
"""

from __future__ import annotations

from .. import nn


def _convolution(channels: int, filters: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, filters, 3), nn.ReLU()]


def _head(features: int, classes: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, classes)]


def cnn_two_pools(classes: int = 10) -> nn.Sequential:
    """Convolutions of 32, 64 and 64 filters with pools after the first two, and dense 64 (document 000, section 4.1).

    Planes: 28, 26, pooled 13, 11, pooled 5, 3: 576 features, 93 322 parameters.
    """
    return nn.Sequential(
        *_convolution(1, 32),
        nn.MaxPool2d(2),
        *_convolution(32, 64),
        nn.MaxPool2d(2),
        *_convolution(64, 64),
        *_head(64 * 3 * 3, classes),
    )


def cnn_three_pools(classes: int = 10) -> nn.Sequential:
    """`cnn_two_pools` with a third pool after the last convolution: 64 features, 60 554 parameters (document 001)."""
    return nn.Sequential(
        *_convolution(1, 32),
        nn.MaxPool2d(2),
        *_convolution(32, 64),
        nn.MaxPool2d(2),
        *_convolution(64, 64),
        nn.MaxPool2d(2),
        *_head(64, classes),
    )


def cnn_single_conv(classes: int = 10) -> nn.Sequential:
    """One convolution of 32 filters, a pool, and dense 64: 5 408 features, 347 146 parameters (document 004)."""
    return nn.Sequential(*_convolution(1, 32), nn.MaxPool2d(2), *_head(32 * 13 * 13, classes))
