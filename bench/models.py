"""Whole training steps of the documents' first network (32-64-64 with two pools), Adam, against PyTorch eager."""

import numpy as np

import tinydl
from tinydl import nn, optim

from .harness import Row, Rows, channels_last, have_torch, normal


def network(nn):
    """The same network from either library's `nn`."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def training_step(library_nn, library_optim, x, labels):
    model = network(library_nn)
    if x.__class__.__module__.startswith("torch"):
        model = model.to(memory_format=model_format())
    optimizer = library_optim.Adam(model.parameters(), lr=1e-3)
    criterion = library_nn.CrossEntropyLoss()

    def step():
        loss = criterion(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def model_format():
    import torch

    return torch.channels_last


def row(batch: int) -> Row:
    x = channels_last(normal(batch, 1, 28, 28))
    labels = np.arange(batch) % 10
    peers = {}
    if have_torch():
        import torch

        tx = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
        peers = {"torch channels-last": training_step(torch.nn, torch.optim, tx, torch.from_numpy(labels))}
    ours = training_step(nn, optim, tinydl.from_numpy(x), tinydl.from_numpy(labels))
    return Row(f"CNN 32-64-64 training step, batch {batch}", ours, peers)


def rows() -> Rows:
    return map(row, (32, 128))
