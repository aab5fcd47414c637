"""Whole training steps of the documents' models of sequences, with Adam, from the same weights.

The text model without its dropouts: embedding, LSTM, and cross-entropy over the vocabulary at each position. The
sequence predictor: a simple RNN whose last state gives the next vector, squared error. The losses of the first steps
must agree. FLOPs are those of the products, forward and backward.
"""

import functools

import numpy as np

import tinydl
from tinydl import backend, nn

from .harness import Later, Row, Rows, close, have_torch, normal
from .peers.remote import remotes

VOCABULARY = 65  # the characters of tiny shakespeare


def text_model(library_nn):
    """Embedding, LSTM and dense layer, in a dictionary so that the state has their names."""
    return library_nn.ModuleDict(
        {
            "embedding": library_nn.Embedding(VOCABULARY, 64),
            "lstm": library_nn.LSTM(64, 128, batch_first=True),
            "linear": library_nn.Linear(128, VOCABULARY),
        }
    )


def text_loss(library, model, ids, targets):
    states = model["lstm"](model["embedding"](ids))[0]
    return library.nn.functional.cross_entropy(model["linear"](states).flatten(0, 1), targets.flatten())


def predictor(library_nn):
    return library_nn.ModuleDict({"rnn": library_nn.RNN(10, 32, batch_first=True), "linear": library_nn.Linear(32, 10)})


def predictor_loss(library, model, x, targets):
    return library.nn.functional.mse_loss(model["linear"](model["rnn"](x)[0][:, -1]), targets)


def training_step(library, model, loss_of, x, targets):
    optimizer = library.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        loss = loss_of(library, model, x, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_step(make, loss_of, state, x, targets, compiled=False):
    """PyTorch's step. It is compiled here, with the gradients, so that no timing holds that."""
    import torch

    model = make(torch.nn)
    model.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    x, targets = torch.tensor(x), torch.tensor(targets)
    if compiled:
        import torch._inductor.config

        torch._inductor.config.compile_threads = 1  # in this process: others would take the cores from the next row
        loss_of = torch.compile(loss_of)
        loss_of(torch, model, x, targets).backward()
    return training_step(torch, model, loss_of, x, targets)


def step_row(name, what, make, loss_of, x, targets, flops) -> Row:
    tinydl.manual_seed(0)
    model = make(nn)
    state = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    ours = training_step(tinydl, model, loss_of, tinydl.tensor(x), tinydl.tensor(targets))
    peers, compiled = {}, {}
    if have_torch():
        common = make, loss_of, state, x, targets
        peers["torch"] = torch_step(*common)
        compiled["torch.compile"] = functools.partial(torch_step, *common, compiled=True)
    peers |= remotes("sequences", backend.num_threads(), what=what, x=x, targets=targets, **state)
    return Row(name, ours, peers, flops=flops, check=close, slow_peers=compiled)


def text_row() -> Row:
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (64, 41))
    flops = 6.0 * 64 * 40 * (4 * 128 * (64 + 128) + 128 * VOCABULARY)
    return step_row(TEXT, "text", text_model, text_loss, ids[:, :-1], ids[:, 1:], flops)


def predictor_row() -> Row:
    x, targets = normal(32, 10, 10), normal(32, 10)
    flops = 6.0 * 32 * (10 * 32 * (10 + 32) + 32 * 10)
    return step_row(PREDICTOR, "predictor", predictor, predictor_loss, x, targets, flops)


TEXT = "LSTM text training step, 64 x 40 characters, 128 units"
PREDICTOR = "RNN predictor training step, 32 x 10 steps, 32 units"


def rows() -> Rows:
    yield Later(TEXT, text_row)
    yield Later(PREDICTOR, predictor_row)
