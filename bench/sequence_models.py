"""Whole training steps of models of sequences, with Adam, and steps of generation, from the same weights.

The text model without its dropouts: embedding, LSTM, and cross-entropy over the vocabulary at each position. The
sequence predictor: a simple RNN whose last state gives the next vector, squared error. The losses of the first steps
must agree. FLOPs are those of the products, forward and backward.

A step of generation takes the token before and gives the next one's logits; what was seen is carried along.
"""

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


def gpt_row() -> Row:
    """The GPT's step: PyTorch is the peer, eager and compiled."""
    tinydl.manual_seed(0)
    model = models.GPT(VOCABULARY, context=128, layers=4, heads=4, features=128)
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (32, 129))
    x, targets = ids[:, :-1], ids[:, 1:]
    peers, compiled = {}, {}
    if have_torch():
        import torch

        tx, ttargets = torch.tensor(x), torch.tensor(targets)
        peers["torch"] = training_step(torch, torch_text.gpt(torch, model), logits_loss, tx, ttargets)
        compiled["torch.compile"] = functools.partial(compiled_gpt, torch_text.gpt(torch, model), tx, ttargets)
    ours = training_step(tinydl, model, logits_loss, tinydl.tensor(x), tinydl.tensor(targets))
    tokens, weights = targets.size, 12 * 128 * 128
    flops = 6.0 * tokens * (4 * weights + 128 * VOCABULARY) + 4 * 3.5 * 4.0 * 32 * 128 * 129 / 2 * 128
    return Row(GPT, ours, peers, flops=flops, check=close, slow_peers=compiled)


def logits_loss(library, model, ids, targets):
    return library.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


def compiled_gpt(model, x, targets):
    """PyTorch's step, compiled with its gradients before any timing."""
    import torch
    import torch._inductor.config

    torch._inductor.config.compile_threads = 1
    loss_of = torch.compile(logits_loss)
    loss_of(torch, model, x, targets).backward()
    return training_step(torch, model, loss_of, x, targets)


def generation_row(name, model, make, seen) -> Row:
    """A token after `seen` others; beyond twice as many both begin anew."""
    prompt = np.arange(seen)[None] % VOCABULARY
    model.eval()
    first, state = model.step(tinydl.tensor(prompt))
    begun = [tinydl.tensor([[3]]), state, seen]

    def ours():
        with tinydl.no_grad():
            logits, begun[1] = model.step(begun[0], begun[1])
        begun[2] += 1
        if begun[2] == 2 * seen:
            begun[1:] = state, seen
        return logits

    peers = {}
    if have_torch():
        import torch

        theirs = make(torch, model).eval()
        with torch.no_grad():
            expected, their_state = theirs.run(torch.tensor(prompt), None)
        close(first, expected[:, -1])
        now = [torch.tensor([[3]]), their_state, seen]

        def step():
            with torch.no_grad():
                logits, now[1] = theirs.run(now[0], now[1])
            now[2] += 1
            if now[2] == 2 * seen:
                now[1:] = their_state, seen
            return logits[:, -1]

        peers["torch"] = step
    return Row(name, ours, peers, check=close)


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
