"""Whole training steps of the documents' networks against their peers, from the same weights.

The 32-64-64 CNN with Adam: PyTorch, eager in both memory formats and compiled, works in this process, JAX and Keras on
TensorFlow in processes of their own; the loss of the first step must agree. The Keras-like row is what `fit` costs for
each batch, with the gathering of shuffled batches, the loss and the accuracy. AlexNet with SGD: PyTorch; the logits
without dropout must agree. FLOPs are those of the products: forward, and backward to the weights and to the inputs of
all layers but the first.
"""

import functools

import numpy as np

import tinydl
from tinydl import backend, nn, optim

from .harness import TORCH_FORMATS, Later, Row, Rows, channels_last, close, have_torch, normal
from .peers.remote import remotes


def network(nn):
    """The 32-64-64 CNN from either library's `nn`."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def alexnet(nn):
    """The AlexNet of document 002, section 4.1, for (N, 3, 224, 224), from either library's `nn`."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout()),
        *(nn.Linear(256, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
    )


def adam(optim, parameters):
    return optim.Adam(parameters, lr=1e-3)


def sgd(optim, parameters):
    return optim.SGD(parameters, lr=1e-3, momentum=0.9)


def training_step(model, library_nn, optimizer, x, labels):
    criterion = library_nn.CrossEntropyLoss()

    def step():
        loss = criterion(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def step_flops(model, x):
    """Of one training step of a chain of layers."""
    flops = 0
    for layer in model:
        y = layer(x)
        if hasattr(layer, "weight"):
            flops += (6 if flops else 4) * y.numel() * layer.weight[0].numel()
        x = y
    return flops


def torch_model(make, state, layout):
    import torch

    model = make(torch.nn)
    model.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
    return model.to(memory_format=getattr(torch, layout))


def torch_step(make, optimizer, state, x, labels, layout, compiled=False):
    """PyTorch's step in one memory format. It is compiled here, with the gradients, so that no timing holds that."""
    import torch

    model = torch_model(make, state, layout)
    images = torch.from_numpy(x).contiguous(memory_format=getattr(torch, layout))
    targets = torch.from_numpy(labels)
    if compiled:
        import torch._inductor.config

        torch._inductor.config.compile_threads = 1  # in this process: others would take the cores from the next row
        model = torch.compile(model)
        torch.nn.functional.cross_entropy(model(images), targets).backward()
    return training_step(model, torch.nn, optimizer(torch.optim, model.parameters()), images, targets)


def remote_steps(state, x, labels):
    """JAX's and Keras's steps."""
    return remotes("cnn", backend.num_threads(), **state, x=x.transpose(0, 2, 3, 1), labels=labels)


def state_of(model):
    return {key: value.numpy().copy() for key, value in model.state_dict().items()}


def our_step(batch: int):
    """The CNN's step alone."""
    x, labels = channels_last(normal(batch, 1, 28, 28)), np.arange(batch) % 10
    model = network(nn)
    return training_step(model, nn, adam(optim, model.parameters()), tinydl.from_numpy(x), tinydl.from_numpy(labels))


def ours_and_torch(make, optimizer, x, labels):
    """Our step, PyTorch's eager ones, what makes its compiled one, and our model."""
    tinydl.manual_seed(0)
    model = make(nn)
    common = make, optimizer, state_of(model), x, labels
    ours = training_step(
        model, nn, optimizer(optim, model.parameters()), tinydl.from_numpy(x), tinydl.from_numpy(labels)
    )
    if not have_torch():
        return ours, {}, {}, model
    peers = {name: torch_step(*common, layout) for name, layout in TORCH_FORMATS.items()}
    compiled = functools.partial(torch_step, *common, "channels_last", compiled=True)
    return ours, peers, {"torch.compile": compiled}, model


def step_row(batch: int, others: bool = True) -> Row:
    """The CNN's step; `others` are the peers beside eager PyTorch."""
    x, labels = channels_last(normal(batch, 1, 28, 28)), np.arange(batch) % 10
    ours, peers, compiled, model = ours_and_torch(network, adam, x, labels)
    if others:
        peers |= remote_steps(state_of(model), x, labels)
    return Row(
        step_name(batch),
        ours,
        peers,
        flops=step_flops(model, tinydl.from_numpy(x)),
        check=close,
        slow_peers=compiled if others else {},
    )


def step_name(batch: int) -> str:
    return f"CNN 32-64-64 training step, batch {batch}"


def alexnet_row(batch: int) -> Row:
    """AlexNet's step, which drops elements at random: the logits without that are compared here."""
    x, labels = channels_last(normal(batch, 3, 224, 224)), np.arange(batch) % 1000
    ours, peers, compiled, model = ours_and_torch(alexnet, sgd, x, labels)
    two = tinydl.from_numpy(channels_last(x[:2]))
    if peers:
        import torch

        expected = torch_model(alexnet, state_of(model), "channels_last").eval()(torch.from_numpy(x[:2]))
        close(model.eval()(two), expected)
    flops = batch / 2 * step_flops(model.eval(), two)
    model.train()
    return Row(alexnet_name(batch), ours, peers, flops=flops, slow_peers=compiled)


def alexnet_name(batch: int) -> str:
    return f"AlexNet training step, SGD, batch {batch}"


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
    for batch in (32, 128):
        yield Later(step_name(batch), functools.partial(step_row, batch))
    yield fit_row(32, 32)
    yield Later(alexnet_name(64), functools.partial(alexnet_row, 64))
