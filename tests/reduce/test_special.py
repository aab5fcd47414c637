"""Cases that PyTorch's comparison cannot draw: NaN among equals, orders of NumPy's types."""

import numpy as np
import pytest

import tinydl


@pytest.mark.parametrize(
    ("row", "value", "index"),
    [([np.nan], np.nan, 0), ([1, np.nan, 2, np.nan], 1, 0), ([np.nan, 3, 3, np.nan, np.nan], 3, 2), ([5, 7, 7], 7, 2)],
)
def test_mode_with_nan(row, value, index):
    found = tinydl.mode(tinydl.tensor(np.array(row, np.float64)))
    np.testing.assert_equal(found.values.item(), value)
    assert found.indices.item() == index


@pytest.mark.parametrize("p", [2, 2.0, np.float32(2), np.float64(2), np.int64(2)])
def test_an_order_of_any_number_type(p):
    assert tinydl.norm(tinydl.tensor([3.0, 4.0]), p).item() == 5
