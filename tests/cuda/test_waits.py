"""What waits for the GPU: a list, so that nothing else does. The emulated arrays tell when the host reads them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinydl
from tinydl import emulated

from .calls import CALLS
from .test_operations import flat, space

pytest.importorskip("tinydl._cuda_emulated", reason="built with TINYDL_CUDA_EMULATE=ON only")

# Why, and what of the calls.
WAITING = {
    "Python's values are asked for": [
        r"m\.allclose",
        r"m\.equal",
        r"m\.is_nonzero",
        r"s\.item\(\)",
        r"x\.tolist\(\)",
        r"\.(apply|map)_\(",
        r"\.tolist\(\)\]",
    ],
    "copies on the CPU are asked for": [r"x\.cpu\(\)", r"x\.to\('cpu'\)", r"m\.zeros\(2, 3\)\.copy_"],
    "the size depends on the values": [
        r"m\.(nonzero|argwhere|bincount|histc|masked_select)\b",
        r"m\.unique",
        r"m\.where\(mask\)",
        r"masked_scatter",
        r"one_hot",
        r"repeat_interleave\(x, index|repeat_interleave\(index",
        r"\[mask\]|row\]|row, |row\)|mask, [0-9v]",
        r"max_norm",
    ],
    "an index makes a view": [r"x\[index\[0\]\]"],
    "indices are checked, where no kernel does": [
        r"index_(add|copy|fill|put)",
        r"scatter",
        r"take_along_dim",
        r"put\(.*(index|m\.tensor\(|\[1, ?0\])",
        r"x\[\[|x\[0, index\]|x\[i\[|x\[:, \[|\[index, :, index\]",
        r"(i|mask)\[index\]",
        r"m\.(gather|index_select)\(i",
        r"max_unpool|MaxUnpool",
        r"embedding_bag\(i, square, mode='max'",
    ],
    "labels are checked": [r"F\.multi(label)?_margin_loss", r"nn\.Multi(Label)?MarginLoss"],
    "other arguments are checked": [
        r"gaussian_nll|GaussianNLL",
        r"bernoulli",
        r"m\.normal\(x",
        r"quantile\(x, v",
        r"m\.cov\(.*weights",
        r"m\.div\(i \+ 1, i \+ 2",
        r"m\.(remainder|floor_divide)\(i, ",
        r"3 (%|//) \(i|3 \*\* \(i|m\.pow\(i, i|m\.pow\(i - ",
    ],
    "the CPU reads lengths and offsets": [r"ctc_loss|CTCLoss", r"embedding_bag\(index"],
    "the CPU computes it": [r"m\.mode", r"m\.multinomial", r"erfc", r"scatter_reduce\(.*prod"],
    "singular matrices are told of": [
        r"L\.(cholesky|det|eigvalsh|inv|pinv|slogdet|svdvals|cond|matrix_rank|eigh|qr|svd|lstsq|solve)",
        r"L\.(matrix_)?norm\(.*('nuc'|, -?2\)|square)|L\.(matrix_)?norm\(square",
        r"m\.(det|slogdet|logdet|inverse|pinverse|cholesky|cholesky_solve|matrix_power)\(",
    ],
}
HOST_READS = ("get", "__bool__", "__int__", "__float__")
METHODS = ("item", "tolist", "tobytes", "nonzero")
FUNCTIONS = ("nonzero", "flatnonzero", "argwhere", "unique", "bincount", "array_equal")


def has_mask(key: Any) -> bool:
    if isinstance(key, tuple):
        return any(map(has_mask, key))
    return isinstance(key, emulated.ndarray) and key.dtype == np.bool_ and key.ndim > 0


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of what made the host wait, so far."""
    found: list[str] = []
    array = emulated.ndarray

    def wrapped(name: str, function: Any) -> Any:
        def read(self: Any, *args: Any) -> Any:
            found.append(name)
            return function(self, *args)

        return read

    for name in HOST_READS:
        monkeypatch.setattr(array, name, wrapped(name, getattr(array, name)))
    attribute, protocol, item = array.__getattr__, array.__array_function__, array.__getitem__

    def read_attribute(self: Any, name: str) -> Any:
        found.extend([name] if name in METHODS else [])
        return attribute(self, name)

    def read_function(self: Any, func: Any, *args: Any) -> Any:
        found.extend([func.__name__] if func.__name__ in FUNCTIONS or "linalg" in func.__module__ else [])
        return protocol(self, func, *args)

    def read_item(self: Any, key: Any) -> Any:
        found.extend(["a mask"] if has_mask(key) else [])
        return item(self, key)

    monkeypatch.setattr(array, "__getattr__", read_attribute)
    monkeypatch.setattr(array, "__array_function__", read_function)
    monkeypatch.setattr(array, "__getitem__", read_item)
    return found


def walk(case: str, reads: list[str]) -> list[str]:
    """What waits in a call and in its backward pass, once its constants are there."""
    for _ in range(2):
        names = space("cuda-emulated", np.float32, [])
        reads.clear()
        for part in list(flat(eval(case, names))):
            if isinstance(part, tinydl.Tensor) and part.requires_grad:
                part.backward(tinydl.ones_like(part), retain_graph=True)
    return list(reads)


@pytest.mark.filterwarnings("ignore")
def test_only_what_is_listed_waits(reads):
    patterns = [pattern for some in WAITING.values() for pattern in some]
    unlisted, used = {}, set()
    for case in CALLS:
        waits = walk(case, reads)
        matching = [pattern for pattern in patterns if re.search(pattern, case)]
        if waits and not matching:
            unlisted[case] = waits
        used.update(matching if waits else [])
    assert not unlisted, "\n".join(f"{case}: {waits}" for case, waits in unlisted.items())
    assert [pattern for pattern in patterns if pattern not in used] == [], "listed, but nothing waits"
