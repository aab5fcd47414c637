"""Penalties and their gradients against formulas."""

import numpy as np
import pytest

import tinydl
from tinydl.autograd import gradcheck
from tinydl.keras import regularizers

from ..support.compare import assert_close


def cosines(x, factor):
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [abs(rows[i] @ rows[j]) for i in range(len(x)) for j in range(i)]
    return factor * np.mean(pairs)


PENALTIES = [
    (regularizers.L1(), lambda x: 0.01 * np.abs(x).sum()),
    (regularizers.L2(), lambda x: 0.01 * (x * x).sum()),
    (regularizers.L1(0.3), lambda x: 0.3 * np.abs(x).sum()),
    (regularizers.L2(0.3), lambda x: 0.3 * (x * x).sum()),
    (regularizers.L1L2(0.2, 0.5), lambda x: 0.2 * np.abs(x).sum() + 0.5 * (x * x).sum()),
    (regularizers.L1L2(), lambda x: 0.0),
    (regularizers.OrthogonalRegularizer(0.5), lambda x: cosines(x, 0.5)),
    (regularizers.OrthogonalRegularizer(mode="columns"), lambda x: cosines(x.T, 0.01)),
]


@pytest.mark.parametrize(("penalty", "formula"), PENALTIES, ids=lambda v: type(v).__name__)
def test_values_and_gradients(rng, penalty, formula):
    x = rng.standard_normal((4, 6))
    got = penalty(tinydl.tensor(x))
    assert got.shape == ()
    assert_close(got, np.asarray(formula(x)), "reduce", length=24)
    assert gradcheck(penalty, tinydl.tensor(x, requires_grad=True))


@pytest.mark.parametrize("name", regularizers.KNOWN)
def test_names_and_settings(name):
    found = regularizers.get(name)
    assert type(regularizers.get(type(found).__name__)) is type(found)
    assert type(regularizers.get(type(found))) is type(found)
    twin = regularizers.get({"class_name": type(found).__name__, "config": found.get_config()})
    assert twin.get_config() == found.get_config()
    assert type(found).from_config(found.get_config()).get_config() == found.get_config()
    assert regularizers.get(found) is found


def test_short_names():
    assert regularizers.l2(0.1).get_config() == {"l2": 0.1}
    assert regularizers.l1_l2(l1=0.1, l2=0.2).l1 == 0.1
    assert regularizers.get(None) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.get("l3"), "Unknown regularizer: 'l3'. Known: l1, l1_l2, l2, orthogonal_regularizer"),
        (lambda: regularizers.L2(-1), "L2: got l2=-1, wanted a number of at least 0"),
        (lambda: regularizers.L1("big"), "L1: got l1='big', wanted a number of at least 0"),
        (lambda: regularizers.OrthogonalRegularizer(mode="both"), "got mode='both', wanted 'rows' or 'columns'"),
        (lambda: regularizers.OrthogonalRegularizer()(tinydl.ones(3)), "got a tensor of shape (3,), wanted a matrix"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        make()
    assert message in str(error.value)
