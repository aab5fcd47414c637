"""Keras's interface, as far as textbooks need it, over the layers of `tinydl.nn` and `tinydl.train.Trainer`.

Names, arguments, defaults, initial values and printed forms are those of Keras 3; images are N, H, W, C.

>>> from tinydl.keras import Sequential, layers
>>> model = Sequential([layers.Input(shape=(3,)), layers.Dense(2, activation="softmax")])
>>> model.count_params()
8
"""

from . import (
    activations,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    regularizers,
    saving,
    utils,
)
from .layers import Input, Layer
from .models import Model, Sequential

__all__ = [
    "Input",
    "Layer",
    "Model",
    "Sequential",
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "regularizers",
    "saving",
    "utils",
]
