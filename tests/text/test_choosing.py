"""Choosing a token: filters on known distributions, ties, and what the draws follow."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinydl
from tests.support.compare import assert_close
from tinydl.text.choosing import chooser, keep_top_k, keep_top_p, probabilities

INF = math.inf
LOGITS = arrays(np.float64, st.integers(1, 20), elements=st.integers(-4, 4).map(float))  # with many ties


def kept(logits):
    return np.flatnonzero(logits > -INF).tolist()


@given(LOGITS, st.integers(1, 25))
def test_top_k_keeps_the_first_of_the_largest(logits, k):
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    out = keep_top_k(logits, k)
    assert kept(out) == sorted(order[:k])
    assert np.array_equal(out[kept(out)], logits[kept(out)])


@given(LOGITS, st.floats(0.01, 1))
def test_top_p_keeps_the_smallest_set(logits, p):
    chosen = kept(keep_top_p(logits, p))
    share = np.exp(logits) / np.exp(logits).sum()
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    assert chosen == sorted(order[: len(chosen)])
    assert share[chosen].sum() >= p - 1e-12
    if p < 1:
        assert share[order[: len(chosen) - 1]].sum() < p + 1e-12  # one less would not do


@pytest.mark.parametrize(
    ("p", "tokens"), [(0.05, [2]), (0.49, [2]), (0.51, [0, 2]), (0.74, [0, 2]), (0.8, [0, 1, 2]), (1.0, [0, 1, 2, 3])]
)
def test_top_p_of_a_known_distribution(p, tokens):
    assert kept(keep_top_p(np.log([0.25, 0.125, 0.5, 0.125]), p)) == tokens


def test_filters_leave_what_cannot_come():
    logits = np.array([-INF, 1.0, -INF, 1.0])
    for out in (keep_top_k(logits, 3), keep_top_p(logits, 0.99), keep_top_p(logits, 1.0), keep_top_k(logits, 9)):
        assert kept(out) == [1, 3]


@given(LOGITS)
def test_probabilities(logits):
    share = np.exp(logits) / np.exp(logits).sum()
    assert_close(probabilities(logits), share, "softmax", length=20)
    assert_close(probabilities(logits + 1e4), share, "softmax", length=20, scale=1e5)


@given(LOGITS)
def test_greedy_is_top_1(logits):
    best = int(np.argmax(logits))
    assert chooser(greedy=True)(logits) == best
    assert [chooser(top_k=1, seed=s)(logits) for s in range(3)] == [best] * 3
    assert chooser(top_p=1e-9, seed=0)(logits) == best
    assert chooser(temperature=1e-300, top_k=1, seed=0)(logits) == best


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [0.1, 0.2, 0.3, 0.4]),
        ({"top_k": 100}, [0.1, 0.2, 0.3, 0.4]),
        ({"top_p": 1.0}, [0.1, 0.2, 0.3, 0.4]),
        ({"top_k": 2}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_p": 0.8}, [0, 2 / 9, 3 / 9, 4 / 9]),
        ({"top_k": 3, "top_p": 0.5}, [0, 0, 3 / 7, 4 / 7]),  # of the three that remain, two have 7/9
        ({"temperature": 0.5}, [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
        ({"temperature": 1e6}, [0.25] * 4),
        ({"temperature": 1e-6}, [0, 0, 0, 1]),
        ({"exclude": [3, 0]}, [0, 0.4, 0.6, 0]),
    ],
)
def test_the_draws_follow_the_distribution(options, wanted):
    count = 20_000
    choose = chooser(seed=3, **options)
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4], np.float32)) + 5
    drawn = np.bincount([choose(logits) for _ in range(count)], minlength=4) / count
    deviation = np.sqrt(np.maximum(np.array(wanted) * (1 - np.array(wanted)), 0) / count)
    assert (np.abs(drawn - wanted) <= 4.5 * deviation + 1e-5).all()  # probabilities of 0: never


def test_the_draws_depend_on_the_seed_alone():
    logits = np.zeros(50)

    def drawn(choose):
        return [choose(logits) for _ in range(600)]

    one = drawn(chooser(seed=1))
    tinydl.rand(7)
    assert drawn(chooser(seed=1)) == one
    assert drawn(chooser(generator=tinydl.Generator(1))) == one
    assert drawn(chooser(seed=2)) != one
    tinydl.manual_seed(1)
    assert drawn(chooser()) == one
    assert drawn(chooser()) != one


def test_the_logits_stay():
    logits = np.array([1.0, 2.0, 3.0])
    for options in ({}, {"greedy": True}, {"top_k": 1}, {"top_p": 0.1}):
        chooser(exclude=[2], seed=0, **options)(logits)
    assert logits.tolist() == [1, 2, 3]


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([0, math.nan, 9], "that of token 1 is nan"),
        ([0, INF, 9], "that of token 1 is inf"),
        ([-INF, -INF], "all are minus infinity"),
    ],
)
def test_logits_that_are_no_numbers(logits, message, greedy):
    with pytest.raises(ValueError, match=f"the model's logits are unusable: {message}"):
        chooser(greedy=greedy)(np.array(logits))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature 0, wanted a number above 0; greedy=True is its limit"),
        ({"temperature": -1.0}, "temperature -1.0"),
        ({"temperature": math.nan}, "temperature nan"),
        ({"temperature": INF}, "temperature inf"),
        ({"top_k": 0}, "top_k 0, wanted at least 1"),
        ({"top_p": 0.0}, "top_p 0.0, wanted a probability above 0, at most 1"),
        ({"top_p": 1.1}, "top_p 1.1"),
        ({"top_p": math.nan}, "top_p nan"),
        ({"seed": 1, "generator": tinydl.Generator(1)}, "a seed and a generator"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        chooser(**options)
