"""Whole training steps of the documents' first network (32-64-64 with two pools), Adam, against its peers.

PyTorch eager in both memory formats works in this process, JAX and Keras on TensorFlow in processes of their own. All
start from the same weights, and the loss of the first step must agree. The Keras-like row is what
`fit` costs for each batch, with the gathering of shuffled batches, the loss and the accuracy.
"""

import numpy as np

import tinydl
from tinydl import backend, nn, optim

from .harness import Row, Rows, channels_last, close, have_torch, normal
from .peers.remote import Remote, has

REMOTE = {"JAX": ("jax", "flax", "optax"), "Keras": ("keras", "tensorflow")}


def network(nn):
    """The same network from either library's `nn`."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def training_step(model, library_nn, library_optim, x, labels):
    optimizer = library_optim.Adam(model.parameters(), lr=1e-3)
    criterion = library_nn.CrossEntropyLoss()

    def step():
        loss = criterion(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_steps(state, x, labels):
    """PyTorch's step in both memory formats."""
    import torch

    steps = {}
    for name, layout in (("torch contiguous", torch.contiguous_format), ("torch channels-last", torch.channels_last)):
        model = network(torch.nn)
        model.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
        model = model.to(memory_format=layout)
        images = torch.from_numpy(x).contiguous(memory_format=layout)
        steps[name] = training_step(model, torch.nn, torch.optim, images, torch.from_numpy(labels))
    return steps


def remote_steps(state, x, labels):
    """JAX's and Keras's steps."""
    job = {**state, "x": x.transpose(0, 2, 3, 1), "labels": labels}
    return {
        name: Remote(f"bench.peers.{name.lower()}_cnn", backend.num_threads(), **job)
        for name, modules in REMOTE.items()
        if has(*modules)
    }


def step_row(batch: int) -> Row:
    x = channels_last(normal(batch, 1, 28, 28))
    labels = np.arange(batch) % 10
    tinydl.manual_seed(0)
    model = network(nn)
    state = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    peers = {**(torch_steps(state, x, labels) if have_torch() else {}), **remote_steps(state, x, labels)}
    ours = training_step(model, nn, optim, tinydl.from_numpy(x), tinydl.from_numpy(labels))
    return Row(f"CNN 32-64-64 training step, batch {batch}", ours, peers, check=close)


def fit_row(batch: int, batches: int) -> Row:
    """`batches` steps of the Keras-like fit."""
    from tinydl.keras import layers, models

    model = models.Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x, labels = normal(batch * batches, 28, 28, 1), np.arange(batch * batches) % 10
    return Row(
        f"CNN 32-64-64 Keras-like fit, {batches} batches of {batch}",
        lambda: model.fit(x, labels, batch_size=batch, epochs=1, verbose=0),
    )


def rows() -> Rows:
    yield from map(step_row, (32, 128))
    yield fit_row(32, 32)
