"""The trainer's CUDA graphs: which steps are replayed, beside plain steps; replays themselves need a GPU."""

import numpy as np
import pytest

import tinydl
from tinydl import cuda, nn, optim
from tinydl.train import Callback, Trainer
from tinydl.train.graphed import MOST, PLAIN, GraphedSteps


@pytest.fixture
def device(gpu_kernels):
    return {"emulated": "cuda-emulated", "cuda": "cuda"}[gpu_kernels.device]


class Graphs:
    """Stands for `make_graphed_step` where there is no GPU: a step whose arguments and results are always the same."""

    def __init__(self, monkeypatch, device):
        self.captures, self.replays = [], 0
        if device != "cuda":
            monkeypatch.setattr(cuda, "make_graphed_step", self.make)

    def make(self, function, samples, parameters, num_warmup_iters):
        assert num_warmup_iters == 0
        inputs = [tinydl.Tensor(sample._data.copy()) for sample in samples]
        results = function(*inputs)
        self.captures.append([t.shape for t in inputs])
        first = True

        def step(*args):
            nonlocal first
            self.replays += 1
            if not first:  # a capture takes no step; here it has taken the first replay's
                for to, value in zip(inputs, args, strict=True):
                    to._data[...] = value._data
                loss, outputs = function(*inputs)
                results[0]._data[...], results[1]._data[...] = loss._data, outputs._data
            first = False
            return results

        return step


def trainer(device, graph, **options):
    tinydl.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    model.to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return Trainer(model, optimizer, nn.CrossEntropyLoss(), ["accuracy"], device, graph=graph, **options)


def data(rng, count=60):
    return rng.standard_normal((count, 6)).astype(np.float32), rng.integers(0, 3, count)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_numbers_as_plain_steps(device, rng, monkeypatch, precision):
    graphs = Graphs(monkeypatch, device)
    x, y = data(rng)
    found = []
    for graph in (False, True):
        run = trainer(device, graph, precision=precision)
        history = run.fit((x, y), epochs=4, batch_size=16, validation_data=(x, y)).history
        found.append((history, [p.detach().cpu().tolist() for p in run.model.parameters()]))
    assert found[0] == found[1]
    if device != "cuda":
        assert graphs.captures == [[(16, 6), (16,)], [(12, 6), (12,)]]
        assert graphs.replays == (12 - PLAIN) + (4 - PLAIN)


def test_parameters_that_are_frozen_make_a_new_kind(device, rng, monkeypatch):
    graphs = Graphs(monkeypatch, device)

    class Freeze(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.trainer.model[0].requires_grad_(epoch % 2 == 0)

    found = []
    for graph in (False, True):
        run = trainer(device, graph)
        history = run.fit(data(np.random.default_rng(1)), epochs=6, batch_size=20, callbacks=[Freeze()])
        found.append(history.history)
    assert found[0] == found[1]
    if device != "cuda":
        assert len(graphs.captures) == 2


def test_lists_of_tensors_and_rare_kinds(device, monkeypatch):
    graphs = Graphs(monkeypatch, device)
    weight = tinydl.zeros(1, device=device).requires_grad_()
    seen = []

    def step(inputs, targets):
        seen.append((isinstance(inputs, list), len(inputs), targets.shape))
        return tinydl.zeros(1, device=device), tinydl.zeros(1, device=device)

    steps = GraphedSteps(step, optim.SGD([weight], lr=1.0))
    if device == "cuda":
        pytest.skip("with the stand-in for graphs")
    a, b = (tinydl.zeros(2, n, device=device) for n in (3, 5))
    for _ in range(PLAIN + 1):
        steps([a, b], b)
        steps(a, b)
    assert seen[::2][:4] == [(True, 2, (2, 5))] * 4
    assert seen[1::2][:4] == [(False, 2, (2, 5))] * 4
    assert graphs.captures == [[(2, 3), (2, 5), (2, 5)], [(2, 3), (2, 5)]]
    for count in range(1, MOST + 4):
        for _ in range(PLAIN + 1):
            steps(tinydl.zeros(count, device=device), b)
    assert len(graphs.captures) == MOST


def test_what_cannot_be_captured_is_refused_before_any_step(device, rng):
    with pytest.raises(ValueError, match="graph=True wants a model on 'cuda', its parameters are on 'cpu'"):
        trainer("cpu", True).fit(data(rng))
    with pytest.raises(ValueError, match="graph=True cannot be had with float16, whose loss scaling waits"):
        trainer(device, True, precision="float16").fit(data(rng))
