"""NumPy's `axis` and `keepdims` are taken where PyTorch takes them, and nowhere else."""

import inspect

import numpy as np
import pytest

import tinydl

X = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
OTHER = {  # what follows the tensor, by name
    **dict.fromkeys(("chunk", "tensor_split", "repeat_interleave"), (2,)),
    **dict.fromkeys(("split", "topk", "kthvalue", "roll"), (1,)),
    **dict.fromkeys(("quantile", "nanquantile"), (0.5,)),
}
INDEX = {"index": [[0]]}
NAMED = {
    "select": {"index": 0},
    "narrow": {"start": 0, "length": 1},
    "index_select": {"index": [0]},
    "gather": INDEX,
    "take_along_dim": {"indices": [[0]]},
    "index_fill": {"index": [0], "value": 1},
}


def taken(lib, space, name, **alias):
    """Whether the function of a library takes the arguments."""
    x = lib.tensor(X)
    named = {k: lib.tensor(v) if isinstance(v, list) else v for k, v in NAMED.get(name, {}).items()}
    first = [x, x] if name in ("cat", "concat", "concatenate", "stack") else x
    more = (x,) if name in ("cosine_similarity", "dist") else OTHER.get(name, ())
    try:
        result = getattr(space, name)(first, *more, **named, **alias)
    except TypeError:
        return False
    return result is not None


@pytest.mark.parametrize(
    "alias", [{"axis": 0}, {"axis": 0, "keepdims": True}, {"dim": 0, "keepdims": True}], ids="+".join
)
@pytest.mark.parametrize("space", ["", "Tensor"])
def test_where_pytorch_takes_them(torch, space, alias):
    ours, theirs = (getattr(lib, space) if space else lib for lib in (tinydl, torch))
    differ, accepted = [], 0
    for name, function in list(vars(ours).items()):
        known = inspect.isfunction(function) and not name.startswith("_") and hasattr(theirs, name)
        if not known or "dim" not in inspect.signature(function).parameters or name.endswith("_"):
            continue
        if name in ("size", "stride"):  # take no axis=: they belong to the storage, below the operations
            continue
        wanted = taken(torch, theirs, name, **alias)
        accepted += wanted
        if taken(tinydl, ours, name, **alias) != wanted:
            differ.append((name, wanted))
    assert not differ
    assert accepted > 15


def test_values_and_wrong_calls():
    x = tinydl.tensor(X)
    assert x.sum(axis=0, keepdims=True).tolist() == X.sum(0, keepdims=True).tolist()
    assert tinydl.mean(x, axis=1).tolist() == x.mean(axis=1).tolist() == X.mean(1).tolist()
    assert tinydl.cat([x, x], axis=1).shape == (2, 6)
    assert x.amax(axis=(0, 1)).item() == 6
    with pytest.raises(TypeError, match=r"multiple values|unexpected keyword argument 'axis'"):
        tinydl.amax(x, dim=0, axis=0)
    with pytest.raises(IndexError, match="amax: dim 5 is out of range"):
        tinydl.amax(x, axis=5)
