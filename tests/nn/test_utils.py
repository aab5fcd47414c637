"""Parameters as one vector, and back."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tinydl import nn
from tinydl.autograd import gradcheck
from tinydl.nn.utils import parameters_to_vector, vector_to_parameters


def build(lib):
    return lib.nn.Sequential(lib.nn.Conv2d(2, 3, 2), lib.nn.ReLU(), lib.nn.Linear(4, 5))


def test_round_trip_is_pytorchs(torch):
    ours, theirs = build(tinydl), build(torch)
    ours.load_state_dict(theirs.state_dict())
    vector = parameters_to_vector(ours.parameters())
    expected = torch.nn.utils.parameters_to_vector(theirs.parameters())
    assert vector.tolist() == expected.tolist()
    vector_to_parameters(vector.detach() * 2, ours.parameters())
    torch.nn.utils.vector_to_parameters(expected.detach() * 2, theirs.parameters())
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.requires_grad
        assert p.tolist() == q.tolist()


def test_gradcheck(rng):
    leaves = [tinydl.tensor(normal(rng, shape, float), requires_grad=True) for shape in ((2, 3), (), (1, 2, 2))]
    assert gradcheck(lambda *p: parameters_to_vector(p) * tinydl.arange(11.0, dtype=tinydl.float64), leaves)


def test_wrong_calls():
    layer = nn.Linear(2, 2)
    before = [np.array(p.detach()) for p in layer.parameters()]
    for call, error, message in (
        (lambda: parameters_to_vector([]), ValueError, "no parameters"),
        (lambda: parameters_to_vector([1.0]), TypeError, "got float"),
        (lambda: vector_to_parameters(tinydl.zeros(5), layer.parameters()), ValueError, r"\(5,\), wanted \(6,\)"),
        (lambda: vector_to_parameters([0.0] * 6, layer.parameters()), TypeError, "got list"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert all(np.array_equal(a, p.detach()) for a, p in zip(before, layer.parameters(), strict=True))
