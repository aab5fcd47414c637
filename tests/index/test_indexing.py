"""`x[key]` and `x[key] = value` against PyTorch, for drawn keys: values, gradients, views, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import tinydl
from tests.support.peers import both_refuse, same_as_torch

SHAPES = [(5,), (3, 4), (2, 3, 4), (3, 1, 2, 4)]


@st.composite
def keys(draw):
    """A shape and a key for it, whose arrays are NumPy's; all its index arrays broadcast."""
    shape = draw(st.sampled_from(SHAPES))
    count = draw(st.integers(0, 3))
    parts, axis = [], 0
    while axis < len(shape) and len(parts) < 5:
        size = shape[axis]
        kind = draw(st.sampled_from(["int", "slice", "none", "array", "list", "mask", "true", "rest", "stop"]))
        if kind == "stop":
            break
        if kind == "int":
            parts.append(draw(st.integers(-size, size - 1)))
        elif kind == "slice":
            edges = st.none() | st.integers(-size - 1, size + 1)
            parts.append(slice(draw(edges), draw(edges), draw(st.none() | st.integers(1, 3))))
        elif kind == "array":
            sizes = draw(st.sampled_from([(count,), (2, count), (1,), (2, 1), ()]))
            numbers = draw(st.lists(st.integers(-size, size - 1), min_size=6, max_size=6))
            parts.append(np.resize(np.array(numbers), sizes))
        elif kind == "list":
            parts.append(draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count)))
        elif kind == "mask":
            mask = np.zeros(size, bool)
            mask[draw(st.permutations(range(size)))[: min(count, size)]] = True
            parts.append(mask if mask.sum() == count else [0] * count)
        elif kind == "true":
            parts.append(draw(st.sampled_from([True, np.array(True)])) if count == 1 else None)
        elif kind == "rest":
            rest = draw(st.integers(0, len(shape) - axis))
            if any(part is Ellipsis for part in parts):
                continue
            parts.append(Ellipsis)
            axis = len(shape) - rest
        else:
            parts.append(None)
        axis += kind not in ("none", "true", "rest")
    return shape, tuple(parts)


def on(module, key):
    """The key with the module's tensors for arrays."""
    return tuple(module.tensor(part) if isinstance(part, np.ndarray) else part for part in key)


@pytest.mark.filterwarnings("ignore::UserWarning")
@hypothesis_settings(max_examples=300)
@given(drawn=keys(), single=st.booleans())
def test_drawn_keys(drawn, single):
    torch = pytest.importorskip("torch")
    shape, key = drawn
    x = np.arange(float(np.prod(shape))).reshape(shape)

    def get(T, x):
        mine = on(T, key)
        return x[mine[0] if single and len(mine) == 1 else mine]

    def put(T, x, value):
        y = x * 1
        y[on(T, key)] = value
        return y

    same_as_torch(torch, "index", get, x, length=12)
    region = get(torch, torch.tensor(x)).shape
    named = get(torch, torch.tensor(x)).reshape(-1).tolist()
    same_as_torch(torch, "index", lambda T, x: put(T, x, 7.5), x)
    same_as_torch(torch, "index", lambda T, x, v: put(T, x, v), x, np.array(2.5), length=24)
    if len(set(named)) == len(named):  # of several values for one element, PyTorch promises none
        for cut in range(len(region) + 1):
            value = np.arange(float(np.prod(region[cut:]))).reshape(region[cut:]) + 100
            same_as_torch(torch, "index", put, x, value, length=24)
            if cut < len(region):
                value = value[..., :1] if region[-1] else value
                same_as_torch(torch, "index", put, x, value[None], length=24)


X = np.arange(12.0).reshape(3, 4)
GET = {
    "negative step": lambda T, x: x[::-1],
    "negative step within": lambda T, x: x[0, ::-2],
    "zero step": lambda T, x: x[::0],
    "float": lambda T, x: x[1.0],
    "float tensor": lambda T, x: x[T.tensor([1.0])],
    "empty float tensor": lambda T, x: x[T.tensor([])],
    "int16 tensor": lambda T, x: x[T.tensor([0, 1], dtype=T.int16)],
    "text": lambda T, x: x["a"],
    "far": lambda T, x: x[3],
    "far negative": lambda T, x: x[-4],
    "far in a tensor": lambda T, x: x[T.tensor([0, 3])],
    "far negative in a tensor": lambda T, x: x[:, T.tensor([0, -5])],
    "very far": lambda T, x: x[T.tensor([0, 2**62])],
    "far in a pair": lambda T, x: x[T.tensor([0, 1]), T.tensor([0, 4])],
    "far in a list": lambda T, x: x[[0, 3]],
    "too many": lambda T, x: x[0, 0, 0],
    "too many with ...": lambda T, x: x[0, ..., 0, 0],
    "without axes": lambda T, x: x[0, 0][0],
    "mask size": lambda T, x: x[T.tensor([True, False])],
    "mask size within": lambda T, x: x[:, T.tensor([True, False, True])],
    "mask shape": lambda T, x: x[T.ones(3, 3) > 0],
    "mask axes": lambda T, x: x[T.ones(3, 4, 1) > 0],
    "no broadcast": lambda T, x: x[T.tensor([0, 1]), T.tensor([0, 1, 2])],
    "slice of floats": lambda T, x: x[0:1.5],
    "dict": lambda T, x: x[{}],
}


@pytest.mark.parametrize("name", GET)
def test_keys_refused_as_by_torch(name, torch):
    both_refuse(torch, GET[name], X)

    def assign(T, x):
        class Assigner:
            shape = x.shape

            def __getitem__(self, key):
                x[key] = 1.0
                return self

        return GET[name](T, Assigner())

    if name != "without axes":
        both_refuse(torch, assign, X)


def changed(T, x, key, value):
    x[key] = value
    return x


SET = {
    "list": lambda T, x: changed(T, x, 0, [1.0, 2.0, 3.0, 4.0]),
    "text": lambda T, x: changed(T, x, 0, "a"),
    "none": lambda T, x: changed(T, x, 0, None),
    "axes": lambda T, x: changed(T, x, 0, T.ones(2, 4)),
    "size": lambda T, x: changed(T, x, (0, 0), T.ones(2)),
    "mask": lambda T, x: changed(T, x, T.tensor([True, False, True]), T.ones(3, 4, dtype=T.float64)),
    "dtype by indices": lambda T, x: changed(T, x, T.tensor([0, 1]), T.ones(2, 4)),
}


@pytest.mark.parametrize("name", SET)
def test_values_refused_as_by_torch(name, torch):
    both_refuse(torch, SET[name], X)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "key",
    [
        [0, 1],
        [[0, 1], [1, 2]],
        [[[0, 1], [1, 2]]],
        [0, slice(None)],
        [0, None],
        [True, False, True],
        [],
        range(2),
        np.array([0, 2]),
        np.int64(1),
        True,
        False,
        (None, True, 0),
        (Ellipsis, Ellipsis),
        (Ellipsis, 0, Ellipsis),
        (),
        (0, slice(None), None),
    ],
    ids=str,
)
def test_unusual_keys(key, torch):
    same_as_torch(torch, "index", lambda T, x: x[key], X, length=2)
    same_as_torch(torch, "index", lambda T, x: changed(T, x * 1, key, 5.0), X)


def test_an_integer_before_arrays_moves_no_axes(torch):
    x = np.arange(24.0).reshape(2, 3, 4)
    same_as_torch(torch, "index", lambda T, x: x[0, :, T.tensor([1, 2])], x)
    same_as_torch(torch, "index", lambda T, x: x[T.tensor([1, 0]), :, T.tensor([1, 2])], x)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_uint8_is_a_mask(torch):
    same_as_torch(torch, "index", lambda T, x: x[T.tensor([1, 0, 1], dtype=T.uint8)], X)


def test_other_dtypes(torch, rng):
    for dtype in (np.int64, np.int32, np.uint8, np.bool_, np.float16):
        x = rng.integers(0, 2, (4, 3)).astype(dtype)
        for key in (tinydl.tensor([3, 0, -1]), tinydl.tensor([[1], [2]])):
            theirs = torch.tensor(key.numpy())
            same_as_torch(torch, "index", lambda T, x, a=key, b=theirs: x[a if T is tinydl else b], x, length=2)


def test_views_and_copies():
    x = tinydl.zeros(3, 4)
    for key in (0, (0, 1), slice(1), (Ellipsis, 0), None, ()):
        x[key]._data[...] += 1
    assert x.tolist()[0] == [5, 5, 4, 4]
    x[tinydl.tensor([0])]._data[...] = 9
    x[x > 4]._data[...] = 9
    assert x.tolist()[0] == [5, 5, 4, 4]


def test_the_key_may_change_after_the_call():
    x, rows = tinydl.zeros(3, 2, requires_grad=True), tinydl.tensor([0, 1])
    y = x[rows] + x[rows, :1] + x[:, tinydl.tensor([0, 1])][rows]
    rows[0] = 2
    y.sum().backward()
    assert x.grad.tolist() == [[4.0, 2.0], [4.0, 2.0], [0.0, 0.0]]
