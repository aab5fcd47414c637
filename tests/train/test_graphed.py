"""The trainer's CUDA graphs: which steps are replayed, beside plain steps; replays themselves need a GPU."""

import types

import numpy as np
import pytest

import tinydl
from tests.support.graphs import Graphs
from tinydl import nn, optim
from tinydl.train import Callback, Checkpoint, Trainer
from tinydl.train.graphed import MOST, PLAIN, GraphedSteps


@pytest.fixture
def device(gpu_kernels):
    return {"emulated": "cuda-emulated", "cuda": "cuda"}[gpu_kernels.device]


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
        found.append((history, {name: t.cpu().tolist() for name, t in run.model.state_dict().items()}))
    assert found[0] == found[1]
    if device != "cuda":
        assert graphs.captures == [[(16, 6), (16,)], [(12, 6), (12,)]]
        assert graphs.replays == (12 - PLAIN) + (4 - PLAIN)
        assert graphs.parameters == [[*run.model.parameters()]] * 2
        assert graphs.pools == [None, "the first one's"]


class Change(Callback):
    """Calls a function before some epochs."""

    def __init__(self, **changes):
        self.changes = changes

    def on_epoch_begin(self, epoch, logs=None):
        self.changes.get(f"at_{epoch}", lambda trainer: None)(self.trainer)


def freeze(trainer):
    trainer.model[0].requires_grad_(False)
    trainer.optimizer.zero_grad()


def unfreeze(trainer):
    trainer.model[0].requires_grad_()


def evaluate(trainer):
    trainer.model[1].eval()
    trainer.model[3].eval()


def add_group(trainer):
    trainer.optimizer.add_param_group({"params": [trainer.extra]})


def replace_optimizer(trainer):
    trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=0.5)


def replace_array(trainer):
    trainer.model[1].running_mean.data = trainer.model[1].running_mean.data + 1


CHANGES = {
    "freeze": ({"at_2": freeze}, 2),
    "freeze and unfreeze": ({"at_2": freeze, "at_4": unfreeze}, 2),
    "evaluate": ({"at_3": evaluate}, 2),
    "add a group": ({"at_2": add_group}, 2),
    "replace the optimizer": ({"at_3": replace_optimizer}, 2),
    "replace an array": ({"at_3": replace_array}, 2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_callback_changes_acts_as_without_graphs(device, monkeypatch, name):
    """Five batches an epoch, so that there are graphs before and after."""
    changes, captures = CHANGES[name]
    graphs = Graphs(monkeypatch, device)
    found = []
    for graph in (False, True):
        run = trainer(device, graph)
        run.extra = tinydl.ones(3, device=device).requires_grad_()
        run.forward = lambda x, run=run: run.model(x) * run.extra
        history = run.fit(data(np.random.default_rng(1)), epochs=6, batch_size=12, callbacks=[Change(**changes)])
        found.append((history.history, run.extra.tolist(), [p.grad is None for p in run.model.parameters()]))
    assert found[0] == found[1]
    if device != "cuda":
        assert len(graphs.captures) == captures


def test_stale_graphs_are_captured_again(device, monkeypatch):
    graphs = Graphs(monkeypatch, device)
    if device == "cuda":
        pytest.skip("with the stand-in for graphs")

    def end(trainer):
        graphs.stale = True

    run = trainer(device, True)
    history = run.fit(data(np.random.default_rng(1)), epochs=6, batch_size=12, callbacks=[Change(at_3=end)])
    plain = trainer(device, False)
    assert history.history == plain.fit(data(np.random.default_rng(1)), epochs=6, batch_size=12).history
    assert len(graphs.captures) == 2
    assert graphs.pools == [None, None]
    assert graphs.replays == 30 - 2 * PLAIN


def test_lists_of_tensors_and_rare_kinds(device, monkeypatch):
    graphs = Graphs(monkeypatch, device)
    weight = tinydl.zeros(1, device=device).requires_grad_()
    seen = []

    def step(inputs, targets):
        seen.append((isinstance(inputs, list), len(inputs), targets.shape))
        return tinydl.zeros(1, device=device), tinydl.zeros(1, device=device)

    owner = types.SimpleNamespace(model=nn.Identity(), optimizer=optim.SGD([weight], lr=1.0), loss=None, forward=None)
    steps = GraphedSteps(step, owner)
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


def test_what_cannot_be_captured_is_refused_before_any_change(device, rng, tmp_path):
    path = tmp_path / "run.safetensors"
    first = trainer(device, False)
    first.fit(data(rng), epochs=1, callbacks=[Checkpoint(path)])
    for where, options, message in (
        ("cpu", {}, "graph=True wants a model on 'cuda', its parameters are on 'cpu'"),
        (device, {"precision": "float16"}, "graph=True cannot be had with float16, whose loss scaling waits"),
    ):
        run = trainer(where, True, **options)
        before = [p.tolist() for p in run.model.parameters()]
        with pytest.raises(ValueError, match=message):
            run.fit(data(rng), epochs=2, resume=path)
        assert [p.tolist() for p in run.model.parameters()] == before

    class Own(Trainer):
        def train_step(self, batch):
            return 1

    with pytest.raises(ValueError, match="graph=True cannot be had with the train_step of Own"):
        Own(first.model, first.optimizer, nn.CrossEntropyLoss(), graph=True).fit(data(rng))


def test_graphs_end_with_the_run(device, rng, monkeypatch):
    graphs = Graphs(monkeypatch, device)
    run = trainer(device, True)
    kept = []

    class Seen(Callback):
        def on_train_batch_end(self, batch, logs=None):
            kept[:] = [run._take_step]

    run.fit(data(rng), epochs=2, batch_size=12, callbacks=[Seen()])
    assert isinstance(kept[0], GraphedSteps)
    assert len(graphs.captures) == (device != "cuda")
    assert not kept[0]._graphs
    run.train_step(tuple(map(tinydl.tensor, data(rng, 4))))
