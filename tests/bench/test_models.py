"""The networks whose training steps are timed."""

import numpy as np
import pytest

import tinydl
from bench.models import adam, alexnet, alexnet_name, alexnet_row, network, our_step, step_flops, torch_step
from tinydl import nn


def test_the_operations_of_a_step():
    first = 26 * 26 * 32 * 9
    others = 11 * 11 * 64 * 32 * 9 + 3 * 3 * 64 * 64 * 9 + 576 * 64 + 64 * 10
    assert step_flops(network(nn), tinydl.zeros(5, 1, 28, 28)) == 5 * (4 * first + 6 * others)


def test_alexnet_is_the_documents():
    sides = ((3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))
    convolutions = (*sides, (256, 384, 3), *sides[3:])
    dense = ((256, 4096), (4096, 4096), (4096, 1000))
    expected = sum((c * k * k + 1) * f for c, f, k in convolutions) + sum((n + 1) * m for n, m in dense)
    assert sum(p.numel() for p in alexnet(nn).parameters()) == expected


def test_alexnets_row_compares_the_logits(monkeypatch):
    pytest.importorskip("torch")
    row = alexnet_row(2)
    assert row.name == alexnet_name(2)
    assert row.peers.keys() == {"torch channels-last", "torch contiguous"}
    assert row.slow_peers.keys() == {"torch.compile"}
    assert row.flops == pytest.approx(2 * 4.4e9, rel=0.05)

    def wrong(got, expected):
        raise AssertionError("the contenders' results differ")

    monkeypatch.setattr("bench.models.close", wrong)
    with pytest.raises(AssertionError, match="results differ"):
        alexnet_row(2)


def test_a_step_trains():
    step = our_step(8)
    losses = [float(np.asarray(step().detach())) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_pytorchs_step_starts_from_our_weights():
    pytest.importorskip("torch")
    model = network(nn)
    state = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    x, labels = np.random.default_rng(0).standard_normal((4, 1, 28, 28), np.float32), np.arange(4)
    ours = nn.CrossEntropyLoss()(model(tinydl.from_numpy(x)), tinydl.from_numpy(labels)).item()
    for layout in ("channels_last", "contiguous_format"):
        step = torch_step(network, adam, state, x, labels, layout)
        assert step().item() == pytest.approx(ours, rel=1e-5)
