"""Whole training steps of models of sequences, with Adam, and steps of generation, from the same weights.

The text model without its dropouts: embedding, LSTM, and cross-entropy over the vocabulary at each position. The
sequence predictor: a simple RNN whose last state gives the next vector, squared error. The losses of the first steps
must agree. FLOPs are those of the products, forward and backward.

A step of generation takes the token before and gives the next one's logits; what was seen is carried along.
"""

import copy
import functools

import numpy as np

import tinydl
from tinydl import backend, models, nn

from .harness import Later, Row, Rows, close, have_torch, normal
from .peers import torch_text
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


def torch_steps(model, loss_of, x, targets):
    """PyTorch's step, and what makes the compiled one of a copy of the model."""
    import torch

    operands = torch.tensor(x), torch.tensor(targets)
    compiled = functools.partial(compiled_step, copy.deepcopy(model), loss_of, *operands)
    return {"torch": training_step(torch, model, loss_of, *operands)}, {"torch.compile": compiled}


def compiled_step(model, loss_of, x, targets):
    """PyTorch's step, compiled here, with the gradients, so that no timing holds that."""
    import torch
    import torch._inductor.config

    torch._inductor.config.compile_threads = 1  # in this process: others would take the cores from the next row
    loss_of = torch.compile(loss_of)
    loss_of(torch, model, x, targets).backward()
    return training_step(torch, model, loss_of, x, targets)


def torch_twin(make, state):
    import torch

    model = make(torch.nn)
    model.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    return model


def step_row(name, what, make, loss_of, x, targets, flops) -> Row:
    tinydl.manual_seed(0)
    model = make(nn)
    state = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    ours = training_step(tinydl, model, loss_of, tinydl.tensor(x), tinydl.tensor(targets))
    peers, compiled = {}, {}
    if have_torch():
        peers, compiled = torch_steps(torch_twin(make, state), loss_of, x, targets)
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


def gpt_row() -> Row:
    """The GPT's step: PyTorch is the peer, eager and compiled."""
    tinydl.manual_seed(0)
    model = models.GPT(VOCABULARY, context=128, layers=4, heads=4, features=128)
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (32, 129))
    x, targets = ids[:, :-1], ids[:, 1:]
    peers, compiled = {}, {}
    if have_torch():
        import torch

        peers, compiled = torch_steps(torch_text.gpt(torch, model), logits_loss, x, targets)
    ours = training_step(tinydl, model, logits_loss, tinydl.tensor(x), tinydl.tensor(targets))
    tokens, weights = targets.size, 12 * 128 * 128
    flops = 6.0 * tokens * (4 * weights + 128 * VOCABULARY) + 4 * 3.5 * 4.0 * 32 * 128 * 129 / 2 * 128
    return Row(GPT, ours, peers, flops=flops, check=close, slow_peers=compiled)


def logits_loss(library, model, ids, targets):
    return library.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


def going_on(library, step, token, state, seen):
    """A token after `seen` others, again and again; beyond twice as many it begins anew. Returns the logits."""
    now, count = state, seen

    def call():
        nonlocal now, count
        if count == 2 * seen:
            now, count = state, seen
        with library.no_grad():
            logits, now = step(token, now)
        count += 1
        return logits

    return call


def generation_row(name, model, make, seen) -> Row:
    prompt, token = np.arange(seen)[None] % VOCABULARY, np.array([[3]])
    model.eval()
    first, state = model.step(tinydl.tensor(prompt))
    peers = {}
    if have_torch():
        import torch

        theirs = make(torch, model).eval()
        with torch.no_grad():
            expected, their_state = theirs.run(torch.tensor(prompt), None)
        close(first, expected[:, -1])

        def their_step(ids, state):
            logits, state = theirs.run(ids, state)
            return logits[:, -1], state

        peers["torch"] = going_on(torch, their_step, torch.tensor(token), their_state, seen)
    return Row(name, going_on(tinydl, model.step, tinydl.tensor(token), state, seen), peers, check=close)


def generation_rows() -> Rows:
    tinydl.manual_seed(0)
    lstm, gpt = models.LSTMText(VOCABULARY), models.GPT(VOCABULARY, context=128)
    for name, model, make in (
        ("LSTM, 128 units", lstm, torch_text.lstm),
        ("GPT, 4 x 128, context 128", gpt, torch_text.gpt),
    ):
        title = f"next token of the {name}"
        yield Later(title, functools.partial(generation_row, title, model, make, 64))


TEXT = "LSTM text training step, 64 x 40 characters, 128 units"
GPT = "GPT training step, 32 x 128 characters, 4 layers of 128"
PREDICTOR = "RNN predictor training step, 32 x 10 steps, 32 units"


def rows() -> Rows:
    yield Later(TEXT, text_row)
    yield Later(PREDICTOR, predictor_row)
    yield Later(GPT, gpt_row)
    yield from generation_rows()
