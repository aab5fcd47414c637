"""What PyTorch scripts ask for besides operations: devices, names of dtypes, facts, in-place draws, counting."""

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.autograd import gradcheck


def test_a_script_chooses_its_device():
    device = tinydl.device("cuda" if tinydl.cuda.is_available() else "cpu")
    x = tinydl.zeros(2, device=device)
    assert x.to(device) is x
    assert x.cpu() is x
    assert x.device == device == "cpu"
    assert (x.device.type, x.device.index, str(x.device), f"{x.device}") == ("cpu", None, "cpu", "cpu")
    assert tinydl.ones(1, device=tinydl.device("cpu", 0)).device == "cpu"
    assert not x.is_cuda
    assert tinydl.cuda.device_count() == 0


@pytest.mark.parametrize("args", [("cpu",), ("cuda",), ("cuda:1",), ("cuda", 1)])
def test_devices_equal_torch(torch, args):
    got, expected = tinydl.device(*args), torch.device(*args)
    assert (got.type, got.index, str(got), repr(got)) == (
        expected.type,
        expected.index,
        str(expected),
        repr(expected),
    )


def test_wrong_devices():
    with pytest.raises(ValueError, match="device: got 'gpu', wanted a name such as 'cpu'"):
        tinydl.device("gpu")
    with pytest.raises(ValueError, match="wanted one index"):
        tinydl.device("cuda:0", 1)
    with pytest.raises(TypeError, match="device: got int"):
        tinydl.device(0)
    for use in (lambda: tinydl.zeros(1, device=tinydl.device("cuda")), lambda: tinydl.zeros(1).cuda()):
        with pytest.raises(ValueError, match="device 'cuda' is not available"):
            use()


def test_names_of_dtypes_and_numbers(torch):
    for name in ("float", "double", "half", "short", "int", "long"):
        assert str(getattr(tinydl, name)) == str(getattr(torch, name)).removeprefix("torch.")
    assert tinydl.finfo(tinydl.float32).eps == torch.finfo(torch.float32).eps
    assert tinydl.iinfo(tinydl.long).max == torch.iinfo(torch.long).max
    assert (tinydl.pi, tinydl.inf, tinydl.e, tinydl.newaxis) == (torch.pi, torch.inf, torch.e, None)


def test_typed_constructors(torch):
    for name in ("FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "ByteTensor", "BoolTensor"):
        got, expected = getattr(tinydl, name)([0, 1, 2]), getattr(torch, name)([0, 1, 2])
        assert got.tolist() == expected.tolist()
        assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
        assert got.type() == expected.type()
        assert isinstance(got, getattr(tinydl, name))
        assert not isinstance(got, tinydl.LongTensor if name != "LongTensor" else tinydl.FloatTensor)
    assert tinydl.LongTensor(2, 3).shape == (2, 3)
    assert tinydl.ones(2).type("torch.LongTensor").dtype == tinydl.ones(2).type(tinydl.long).dtype == tinydl.int64


def test_facts_equal_torch(torch):
    array = np.arange(24.0).reshape(2, 3, 4)
    got, expected = tinydl.from_numpy(array), torch.from_numpy(array)
    for fact in ("nelement", "ndimension", "element_size", "data_ptr", "is_floating_point", "numel"):
        assert getattr(got, fact)() == getattr(expected, fact)()
    assert (got.itemsize, got.nbytes) == (expected.itemsize, expected.nbytes)
    assert [got.size(d) for d in (0, -1)] == [expected.size(d) for d in (0, -1)]
    assert [got.stride(d) for d in (0, -1)] == [expected.stride(d) for d in (0, -1)]
    assert tinydl.is_tensor(got)
    assert not tinydl.is_tensor(array)
    assert got.is_same_size(got.clone())
    assert not got.is_same_size(got[0])
    assert tinydl.numel(got) == 24
    assert tinydl.is_nonzero(tinydl.tensor(2))
    assert tinydl.is_floating_point(got)
    for fact in (got.size, got.stride):
        with pytest.raises(IndexError, match=r"dim 3 is out of range for shape \(2, 3, 4\)"):
            fact(3)


def test_detach_in_place():
    x = tinydl.ones(2, requires_grad=True)
    y = (x * 2).detach_()
    assert y.is_leaf
    assert not y.requires_grad
    assert y.tolist() == [2, 2]


# -- Drawn in place ---------------------------------------------------------------------------------------------

DRAWS = {
    "uniform_": ((2.0, 4.0), 3.0, 4 / 12),
    "normal_": ((1.0, 3.0), 1.0, 9.0),
    "exponential_": ((0.5,), 2.0, 4.0),
    "bernoulli_": ((0.25,), 0.25, 3 / 16),
    "random_": ((2, 6), 3.5, 15 / 12),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_in_place(name, dtype):
    args, mean, variance = DRAWS[name]
    count = 40000
    x = tinydl.zeros(200, 200, dtype=dtype).t()
    assert getattr(x, name)(*args, generator=tinydl.Generator(3)) is x
    deviation = (variance / count) ** 0.5
    assert abs(x.double().mean().item() - mean) < 5 * deviation
    assert 0.9 * variance < x.double().var().item() < 1.1 * variance
    assert x.dtype == dtype
    again = getattr(tinydl.zeros(200, 200, dtype=dtype), name)(*args, generator=tinydl.Generator(3))
    assert (again == x).all()


def test_draws_reach_the_parameter_and_keep_to_the_tape():
    weight = tinydl.ones(3, requires_grad=True)
    weight.data.uniform_(-0.5, 0.5)
    assert (weight.abs() <= 0.5).all()
    assert weight.requires_grad
    with pytest.raises(RuntimeError, match="normal_: a leaf that requires a gradient"):
        weight.normal_()
    assert tinydl.zeros(2, 2).bernoulli_(tinydl.tensor([0.0, 1.0])).tolist() == [[0, 1], [0, 1]]
    assert 0 <= tinydl.zeros(5, dtype="int64").random_(3).max().item() < 3
    assert tinydl.zeros(5, dtype="uint8").random_().dtype == tinydl.uint8


def test_wrong_draws():
    x = tinydl.zeros(2)
    for call, error, message in (
        (lambda: x.uniform_(1, 0), ValueError, "uniform_: got the interval"),
        (lambda: x.normal_(0, -1), ValueError, "normal_: got the standard deviation"),
        (lambda: x.exponential_(0), ValueError, "exponential_: got lambd=0"),
        (lambda: x.bernoulli_(2), ValueError, "wanted probabilities from 0 to 1"),
        (lambda: x.long().uniform_(), TypeError, "uniform_: got dtype int64"),
    ):
        with pytest.raises(error, match=message):
            call()


# -- Counted, put -----------------------------------------------------------------------------------------------


def test_bincount_equals_torch(torch):
    for labels in ([], [3], [0, 2, 2, 5]):
        labels = np.array(labels, np.int64)
        for minlength in (0, 4, 9):
            got = tinydl.bincount(tinydl.from_numpy(labels), minlength=minlength)
            assert got.tolist() == torch.bincount(torch.from_numpy(labels), minlength=minlength).tolist()
        for dtype in ("float32", "float64", "int64"):
            weights = np.arange(labels.size).astype(dtype)
            got = tinydl.from_numpy(labels).bincount(tinydl.from_numpy(weights))
            expected = torch.from_numpy(labels).bincount(torch.from_numpy(weights))
            assert got.tolist() == expected.tolist()
    with pytest.raises(ValueError, match="bincount: got -1, wanted numbers from 0"):
        tinydl.bincount(tinydl.tensor([-1]))
    with pytest.raises(TypeError, match="bincount: got dtype float32"):
        tinydl.bincount(tinydl.ones(2))
    with pytest.raises(ValueError, match=r"bincount: got shape \(1, 2\)"):
        tinydl.bincount(tinydl.tensor([[1, 2]]))


def test_isin_equals_torch(torch):
    x, among = np.array([[1, 2], [3, 4]]), np.array([2, 3, 9])
    for invert in (False, True):
        got = tinydl.isin(tinydl.from_numpy(x), tinydl.from_numpy(among), invert=invert)
        assert got.tolist() == torch.isin(torch.from_numpy(x), torch.from_numpy(among), invert=invert).tolist()
    assert tinydl.isin(tinydl.tensor([1, 2]), 2).tolist() == [False, True]


INDICES = {
    "rows": ([0, 2, 2],),
    "elements": ([0, 2, 2], [-1, 1, 1]),
    "broadcast": ([[0], [1]], [0, 1]),
    "mask": (np.array([[True, False], [True, True], [False, False]]),),
}


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("accumulate", [False, True])
def test_index_put_equals_torch(torch, rng, name, accumulate):
    x = rng.standard_normal((3, 2))
    keys = [np.array(part) for part in INDICES[name]]
    values = np.broadcast_to(np.array(rng.standard_normal()), x[tuple(keys)].shape).copy()
    if accumulate:
        values = rng.standard_normal(values.shape)
    got = tinydl.tensor(x).index_put_([tinydl.from_numpy(k) for k in keys], tinydl.tensor(values), accumulate)
    expected = torch.tensor(x).index_put_([torch.from_numpy(k) for k in keys], torch.tensor(values), accumulate)
    assert_close(got.numpy(), expected.numpy(), "index")


def test_index_put_gradients_and_refusals():
    at = [tinydl.tensor([0, 0, 2])]
    x, v = tinydl.randn(3, dtype="float64", requires_grad=True), tinydl.randn(3, dtype="float64", requires_grad=True)
    assert gradcheck(lambda x, v: (x * 1).index_put_(at, v, accumulate=True), (x, v))
    with pytest.raises(IndexError, match="index_put_: an index of axis 0 is out of range for size 3"):
        tinydl.zeros(3).index_put_([tinydl.tensor([3])], tinydl.ones(1), accumulate=True)
    with pytest.raises(IndexError, match="index_put_: got 2 indices"):
        tinydl.zeros(3).index_put_([tinydl.tensor([0])] * 2, tinydl.ones(1), accumulate=True)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (7, 2), (3, 3, 3), (0, 2)])
def test_fill_diagonal_equals_torch(torch, shape):
    for wrap in (False, True):
        got = tinydl.zeros(shape).fill_diagonal_(2.0, wrap=wrap)
        assert got.tolist() == torch.zeros(shape).fill_diagonal_(2.0, wrap=wrap).tolist()


def test_repeats_alone_give_their_indices(torch):
    assert tinydl.repeat_interleave(tinydl.tensor([1, 0, 2])).tolist() == [0, 2, 2]


def test_a_flip_without_axes_has_a_gradient():
    x = tinydl.tensor(2.0, requires_grad=True)
    (tinydl.flip(x) * 3).backward()
    assert x.grad.item() == 3


@pytest.mark.parametrize("data", [[[True, False], [True, True]], [], True, False])
def test_where_a_condition_holds_equals_torch(torch, data):
    got, expected = tinydl.where(tinydl.tensor(data, dtype="bool")), torch.where(torch.tensor(data, dtype=torch.bool))
    assert [index.tolist() for index in got] == [index.tolist() for index in expected]
    with pytest.raises(TypeError, match="where: got one of input and other, wanted both or neither"):
        tinydl.where(tinydl.tensor(True), 1)


def test_to_copies_on_request_and_never_blocks():
    x = tinydl.ones(2)
    assert x.to("cpu", non_blocking=True) is x
    for copy in (x.to("cpu", copy=True), x.to(tinydl.float32, copy=True), x.to("float64", copy=True)):
        assert copy._data is not x._data
        assert copy.tolist() == [1, 1]


def test_shapes_that_do_not_broadcast_are_named_for_every_dtype():
    for dtype in ("int64", "float16", "float32"):
        with pytest.raises(ValueError, match=r"add: shapes \(2, 3\) and \(4,\) do not broadcast"):
            tinydl.ones(2, 3, dtype=dtype) + tinydl.ones(4, dtype=dtype)
    with pytest.raises(ValueError, match=r"atan2: shapes \(2,\) and \(3,\) do not broadcast"):
        tinydl.atan2(tinydl.ones(2), tinydl.ones(3))


def test_a_fill_that_the_dtype_does_not_hold():
    with pytest.raises(ValueError, match="fill_: the dtype uint8 does not hold -1"):
        tinydl.zeros(2, dtype="uint8").fill_(-1)
