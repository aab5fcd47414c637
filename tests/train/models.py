"""Small models and data for the tests of the trainer."""

import numpy as np

import tinydl
from tinydl import nn, optim
from tinydl.train import Trainer


def data(count=70, features=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, features)).astype(np.float32)
    return x, (x[:, :classes].argmax(1)).astype(np.int64)


def trainer(seed=1, optimizer=optim.Adam, dropout=0.3, metrics=("accuracy",), **options):
    """A perceptron with dropout, whose run depends on the seed alone."""
    tinydl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))
    return Trainer(model, optimizer(model.parameters(), **{"lr": 0.01, **options}), nn.CrossEntropyLoss(), metrics)


def bits(state):
    """Nested state with its arrays as bytes, to be compared with ==."""
    if isinstance(state, dict):
        return {key: bits(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [bits(value) for value in state]
    if isinstance(state, tinydl.Tensor):
        state = state._data
    return (state.shape, str(state.dtype), state.tobytes()) if isinstance(state, np.ndarray) else state
