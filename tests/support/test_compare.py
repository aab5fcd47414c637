"""The comparator itself: what it must refuse, and what it must let pass."""

import numpy as np
import pytest

from .compare import assert_close

ONE = np.float32(1)
JUST_OFF = np.float32(1 + 2**-18)  # 32 ulp


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (ONE, JUST_OFF),
        (np.float32(-5), np.float32(-3)),
        (np.float32(-3), np.float32(3)),
        (np.float32(np.nan), ONE),
        (ONE, np.float32(np.nan)),
        (np.float32(np.inf), ONE),
        (ONE, np.float32(np.inf)),
        (np.float32(-np.inf), np.float32(np.inf)),
        (np.float32(0), ONE),
        (np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)),
        (np.zeros(0, np.float32), np.zeros(1, np.float32)),
        (np.array([1, 2, 3], np.float32), np.array([1, 2, 4], np.float32)),
    ],
)
def test_refuses(got, expected):
    with pytest.raises(AssertionError):
        assert_close(got, expected, "elementwise")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.float32(1 + 2**-23), ONE),
        (np.float32(-1), np.float32(-1)),
        (np.float32(np.nan), np.float32(np.nan)),
        (np.float32(-np.inf), np.float32(-np.inf)),
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)),
        (np.float32(1e-45), np.float32(0)),
    ],
)
def test_accepts(got, expected):
    assert_close(got, expected, "elementwise")


def test_scale_replaces_the_expected_value():
    assert_close(np.float32(1e-6), np.float32(0), "reduce", scale=10.0)
    with pytest.raises(AssertionError):
        assert_close(np.float32(1e-6), np.float32(0), "reduce", scale=0.1)


def test_length_widens_the_tolerance():
    assert_close(JUST_OFF, ONE, "reduce", length=10000)
    with pytest.raises(AssertionError):
        assert_close(JUST_OFF, ONE, "reduce", length=100)
