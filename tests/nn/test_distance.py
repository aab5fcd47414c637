"""Bilinear, CosineSimilarity and PairwiseDistance as layers."""

import numpy as np
import pytest

import tinydl
from tests.support.agreement import agree
from tests.support.compare import assert_close
from tinydl import nn


@pytest.mark.parametrize("case", ["m.nn.CosineSimilarity(0)(a, b)", "m.nn.PairwiseDistance(1.0, keepdim=True)(a, b)"])
def test_distances_equal_torch(case, torch, rng):
    agree(torch, case, {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}, rng, length=4)


FUNCTIONS = [
    "F.cosine_similarity(a, b)",
    "F.cosine_similarity(a, b, dim=-1, eps=0.5)",
    "F.cosine_similarity(a[0], b[0], 0)",
    "F.cosine_similarity(a, b[:1], 0)",
    "F.cosine_similarity(a, b, 2)",
    "F.cosine_similarity(a.long(), b.long())",
    "F.pairwise_distance(a, b)",
    "F.pairwise_distance(a, b[0], 3, 0.1, True)",
    "F.pairwise_distance(a, a)",
    "F.normalize(a)",
    "F.normalize(a, 1, 0)",
    "F.normalize(a, float('inf'), -1)",
    "F.normalize(a, eps=100.0)",
    "F.normalize(a, dim=(0, 1))",
    "F.normalize(a, dim=2)",
    "F.pdist(a)",
    "F.pdist(a, 1)",
    "F.pdist(a[0])",
    "m.cdist(a, b)",
    "m.cdist(a, b, 1)",
    "m.cdist(a[:0], b)",
    "m.cdist(a, b[:, :3])",
    "m.cdist(a, b, -1)",
    "m.cdist(a, b[None], 3)",
    "m.dist(a, b)",
    "m.dist(a, b[0], 1)",
    "m.dist(a, b[:, :3])",
]


@pytest.mark.parametrize("case", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_equal_torch(case, dtype, torch, rng):
    a, b = rng.standard_normal((5, 4)).astype(dtype), rng.standard_normal((5, 4)).astype(dtype)
    agree(torch, case, {"a": a, "b": b}, rng, length=64)


@pytest.mark.parametrize("case", ["F.normalize(a)", "F.cosine_similarity(a, b)", "m.dist(a, a)"])
def test_zeros(case, torch, rng):
    a, b = np.zeros((3, 4)), rng.standard_normal((3, 4))
    a[1] = b[1]
    agree(torch, case, {"a": a, "b": b}, rng)


def test_bilinear_takes_torchs_parameters(torch, rng):
    theirs = torch.nn.Bilinear(3, 4, 5)
    ours = nn.Bilinear(3, 4, 5)
    ours.load_state_dict(theirs.state_dict())
    a, b = rng.standard_normal((6, 3)).astype(np.float32), rng.standard_normal((6, 4)).astype(np.float32)
    expected = theirs(torch.tensor(a), torch.tensor(b)).detach().numpy()
    assert_close(ours(tinydl.tensor(a), tinydl.tensor(b)), expected, "matmul", length=12, scale=10)
    assert repr(ours) == repr(theirs)
    assert nn.Bilinear(3, 4, 5, bias=False).bias is None


def test_bilinear_starts_as_torchs():
    weight = nn.Bilinear(100, 7, 50).weight.detach().numpy()
    assert np.abs(weight).max() <= 0.1
    assert weight.std() == pytest.approx(0.1 / 3**0.5, rel=0.02)


def test_wrong_calls():
    with pytest.raises(ValueError, match="Bilinear: got sizes 0, 4 and 5"):
        nn.Bilinear(0, 4, 5)
    with pytest.raises(ValueError, match=r"bilinear: inputs .* do not fit weight \(5, 3, 4\)"):
        nn.Bilinear(3, 4, 5)(tinydl.ones(2, 3), tinydl.ones(2, 3))
