"""Views and rearranged copies beside PyTorch's: values, gradients, shared memory, refusals."""

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts
from tests.support.compare import assert_close
from tinydl import nn
from tinydl.autograd import gradcheck

# Each takes a tensor of shape (2, 3, 4) of either library, and that library.
VIEWS = {
    "unflatten": lambda x, t: x.unflatten(2, (2, -1)),
    "unflatten function": lambda x, t: t.unflatten(x, -2, (1, 3, 1)),
    "movedim": lambda x, t: t.movedim(x, 0, 2),
    "movedim several": lambda x, t: x.movedim((0, 1), (-1, 0)),
    "moveaxis": lambda x, t: t.moveaxis(x, -1, 0),
    "swapaxes": lambda x, t: t.swapaxes(x, 0, 1),
    "swapdims": lambda x, t: x.swapdims(0, -1),
    "T": lambda x, t: x[0].T,
    "mT": lambda x, t: x.mT,
    "mH": lambda x, t: x.mH,
    "H": lambda x, t: x[1].H,
    "narrow": lambda x, t: x.narrow(1, 1, 2),
    "narrow from the end": lambda x, t: t.narrow(x, 2, -3, 2),
    "narrow to nothing": lambda x, t: x.narrow(0, 2, 0),
    "narrow at a tensor": lambda x, t: x.narrow(1, t.tensor(1), 1),
    "select": lambda x, t: x.select(1, -1),
    "select function": lambda x, t: t.select(x, 0, 1),
    "broadcast_to": lambda x, t: t.broadcast_to(x, (5, 2, 3, 4)),
    "broadcast_to method": lambda x, t: x.broadcast_to((2, 3, 4)),
    "broadcast_tensors": lambda x, t: t.broadcast_tensors(x, t.zeros(3, 1, 1, 1))[0],
    "expand_as": lambda x, t: x.expand_as(t.zeros(5, 2, 3, 4)),
    "view_as": lambda x, t: x.view_as(t.zeros(6, 4)),
    "reshape_as": lambda x, t: x.reshape_as(t.zeros(4, 6)),
    "ravel": lambda x, t: x.ravel(),
    "atleast_3d": lambda x, t: t.atleast_3d(x[0]),
    "atleast_3d of a vector": lambda x, t: t.atleast_3d(x[0, 0]),
    "atleast_2d": lambda x, t: t.atleast_2d(x[0, 0]),
    "atleast_1d": lambda x, t: t.atleast_1d(x[0, 0].select(0, 1)),
    "atleast_1d as it is": lambda x, t: t.atleast_1d(x),
    "squeeze several": lambda x, t: x[:1, :1].squeeze((0, -2)),
    "squeeze some": lambda x, t: x[:1].squeeze((0, 1)),
    "squeeze none": lambda x, t: x[:1].squeeze(()),
    "unsqueeze": lambda x, t: x.unsqueeze(-4),
    "permute": lambda x, t: t.permute(x, (2, 0, -2)),
    "meshgrid": lambda x, t: t.meshgrid(x[0, 0], x[:, 0, 0], indexing="ij")[0],
    "meshgrid of a scalar": lambda x, t: t.meshgrid(x[0, 0, 0], x[0, :, 0], indexing="ij")[1],
    "meshgrid xy": lambda x, t: t.meshgrid([x[0, 0], x[0, :, 0], x[1, 0]], indexing="xy")[0],
    "meshgrid of one": lambda x, t: t.meshgrid(x[0, 0], indexing="xy")[0],
}
COPIES = {
    "unfold": lambda x, t: x.unfold(2, 3, 1),
    "unfold steps": lambda x, t: x.unfold(1, 2, 2),
    "unfold front": lambda x, t: x.unfold(-3, 2, 5),
    "flip": lambda x, t: t.flip(x, [0, -1]),
    "flip method": lambda x, t: x.flip(0, 1),
    "flip nothing": lambda x, t: x.flip(()),
    "fliplr": lambda x, t: t.fliplr(x),
    "flipud": lambda x, t: x.flipud(),
    "roll": lambda x, t: t.roll(x, 5),
    "roll axes": lambda x, t: x.roll((1, -2), (0, 2)),
    "roll an axis twice": lambda x, t: x.roll((1, 1), (1, 1)),
    "rot90": lambda x, t: t.rot90(x),
    "rot90 twice": lambda x, t: x.rot90(2, (1, 2)),
    "rot90 back": lambda x, t: x.rot90(-1, [0, 2]),
    "rot90 by nothing": lambda x, t: x.rot90(4),
    "rot90 from the second axis": lambda x, t: x.rot90(3, [2, 1]),
    "repeat": lambda x, t: x.repeat(2, 1, 3),
    "repeat in front": lambda x, t: x.repeat((2, 3, 1, 1, 2)),
    "repeat never": lambda x, t: x.repeat(2, 0, 1),
    "tile": lambda x, t: t.tile(x, (2, 3)),
    "tile in front": lambda x, t: x.tile(2, 1, 1, 2),
    "tile nothing": lambda x, t: x.tile(()),
    "cartesian_prod": lambda x, t: t.cartesian_prod(x[0, 0], x[:, 0, 1], x[1, :, 2]),
    "cartesian_prod of one": lambda x, t: t.cartesian_prod(x[0, 0]),
}
CALLS = {**VIEWS, **COPIES}


@pytest.mark.parametrize("name", CALLS)
def test_equals_pytorch(name, torch, rng):
    call = CALLS[name]
    values = rng.standard_normal((2, 3, 4))
    for kind, array in layouts(values):
        x = tinydl.Tensor(array, requires_grad=True)
        theirs = torch.tensor(values, requires_grad=True)
        got, expected = call(x, tinydl), call(theirs, torch)
        assert np.array_equal(got.detach().numpy(), expected.detach().numpy()), kind
        grad = rng.standard_normal(got.shape)
        got.backward(tinydl.tensor(grad))
        expected.backward(torch.tensor(grad))
        assert_close(x.grad, theirs.grad.numpy(), "reduce", length=24, scale=np.abs(grad).max(initial=0))
    assert call(tinydl.tensor(values).long(), tinydl).dtype == np.int64


@pytest.mark.parametrize("name", CALLS)
def test_gradcheck(name, rng):
    x = tinydl.tensor(rng.standard_normal((2, 3, 4)), requires_grad=True)
    assert gradcheck(lambda x: CALLS[name](x, tinydl), x)


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "narrow to nothing"])
def test_views_share_memory_and_versions(name):
    x = tinydl.zeros(2, 3, 4)
    y = VIEWS[name](x, tinydl)
    assert np.shares_memory(x.numpy(), y.numpy())
    assert y._version is x._version


@pytest.mark.parametrize("name", [n for n in COPIES if n not in ("repeat never", "cartesian_prod of one")])
def test_copies_do_not(name):
    x = tinydl.zeros(2, 3, 4)
    y = COPIES[name](x, tinydl)
    assert not np.shares_memory(x.numpy(), y.numpy())
    y.fill_(1)
    assert float(x.sum()) == 0


def test_flipped_images_stay_channels_last():
    x = tinydl.zeros(2, 4, 5, 3).permute(0, 3, 1, 2)
    assert x.flip(-1).stride() == x.stride()


def test_bytes_read_as_another_dtype(torch, rng):
    values = rng.standard_normal((3, 4)).astype(np.float32)
    for dtype in ("int32", "float64", "int16", "uint8"):
        got = tinydl.tensor(values).view(getattr(tinydl, dtype))
        expected = torch.tensor(values).view(getattr(torch, dtype))
        assert got.dtype == dtype
        assert got.numpy().tobytes() == expected.numpy().tobytes()
        assert got.shape == tuple(expected.shape)
    x = tinydl.zeros(4)
    y = x.view(tinydl.int32)
    y += 1
    assert x.view("int32").tolist() == [1] * 4
    assert y._version is x._version
    with pytest.raises(ValueError, match=r"view: a tensor of shape .* cannot be read as float64"):
        tinydl.zeros(2, 3).view(tinydl.float64)
    with pytest.raises(ValueError, match="cannot be read"):
        tinydl.zeros(4, 2).t().view(tinydl.float64)
    assert x.view(2, -1).shape == x.view((2, 2)).shape == (2, 2)


def test_several_at_once():
    scalar, vector = tinydl.tensor(1.0), tinydl.ones(2)
    assert [t.shape for t in tinydl.atleast_2d(scalar, vector)] == [(1, 1), (1, 2)]
    assert [t.shape for t in tinydl.atleast_3d([scalar])] == [(1, 1, 1)]
    assert tinydl.broadcast_shapes((3, 1), 2, ()) == (3, 2)
    assert [t.shape for t in tinydl.meshgrid(tinydl.ones(0), vector)] == [(0, 2), (0, 2)]
    assert tinydl.zeros(0, 2).ravel().shape == (0,)
    assert tinydl.zeros(0, 6).unflatten(1, (2, -1)).shape == (0, 2, 3)
    assert tinydl.zeros(2, 0).unflatten(1, (-1, 3)).shape == (2, 0, 3)


def test_the_layer(torch, rng):
    x = rng.standard_normal((2, 6, 5)).astype(np.float32)
    ours, theirs = nn.Unflatten(1, (2, 3)), torch.nn.Unflatten(1, (2, 3))
    assert np.array_equal(ours(tinydl.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy())
    assert repr(ours) == repr(theirs)
    for sizes in (3, (("a", 2),)):
        with pytest.raises(TypeError, match="Unflatten: got dim=1 and sizes"):
            nn.Unflatten(1, sizes)


WRONG = {
    "unflatten": (ValueError, r"sizes \(2, 3\) do not multiply up to the 4", lambda x, t: x.unflatten(2, (2, 3))),
    "unflatten nothing": (ValueError, "do not multiply", lambda x, t: x.unflatten(2, ())),
    "unflatten unknown": (ValueError, "do not multiply", lambda x, t: x.unflatten(2, (-1, -1))),
    "unflatten axis": (IndexError, "dim 5 is out of range", lambda x, t: x.unflatten(5, (2, 2))),
    "movedim twice": (ValueError, "names an axis twice", lambda x, t: t.movedim(x, (0, 0), (1, 0))),
    "movedim mixed": (TypeError, "two integers or two lists", lambda x, t: t.movedim(x, (0, 1), 1)),
    "movedim lengths": (ValueError, "2 sources for 1", lambda x, t: t.movedim(x, (0, 1), (1,))),
    "movedim range": (IndexError, "dim 3 is out of range", lambda x, t: t.movedim(x, 3, 0)),
    "mT": (ValueError, "mT: got a tensor of shape", lambda x, t: x[0, 0].mT),
    "H": (ValueError, "H: got a tensor of shape", lambda x, t: x.H),
    "narrow length": (ValueError, "do not lie within the 3", lambda x, t: x.narrow(1, 2, 2)),
    "narrow negative": (ValueError, "do not lie within", lambda x, t: x.narrow(1, 0, -1)),
    "narrow start": (IndexError, "start 4 is out of range", lambda x, t: x.narrow(1, 4, 0)),
    "select": (IndexError, "index 3 is out of range", lambda x, t: x.select(1, 3)),
    "select scalar": (IndexError, "without axes has no dim", lambda x, t: t.tensor(1).select(0, 0)),
    "unfold size": (ValueError, "unfold: got size 5", lambda x, t: x.unfold(2, 5, 1)),
    "unfold step": (ValueError, "step 0", lambda x, t: x.unfold(2, 2, 0)),
    "broadcast_to": (ValueError, "cannot take the shape", lambda x, t: t.broadcast_to(x, (3, 4))),
    "broadcast_tensors": (ValueError, "do not fit", lambda x, t: t.broadcast_tensors(x, t.zeros(3))),
    "view_as": (ValueError, "cannot take the shape", lambda x, t: x.view_as(t.zeros(5))),
    "permute twice": (ValueError, "names an axis twice", lambda x, t: x.permute(0, 0, 1)),
    "permute few": (ValueError, "permute: got 2 axes", lambda x, t: x.permute(0, 1)),
    "unsqueeze": (IndexError, "unsqueeze: dim 4 is out of range", lambda x, t: x.unsqueeze(4)),
    "squeeze": (IndexError, "squeeze: dim 3 is out of range", lambda x, t: x.squeeze((0, 3))),
    "flip twice": (ValueError, "names an axis twice", lambda x, t: x.flip(0, -3)),
    "flip range": (IndexError, "dim 3 is out of range", lambda x, t: x.flip(3)),
    "fliplr": (ValueError, "at least two axes", lambda x, t: t.fliplr(x[0, 0])),
    "flipud": (ValueError, "without axes", lambda x, t: t.flipud(x[0, 0, 0])),
    "roll flat": (ValueError, "wanted one shift", lambda x, t: t.roll(x, (1, 2))),
    "roll lengths": (ValueError, "1 shifts for 2 dims", lambda x, t: t.roll(x, 1, (0, 1))),
    "rot90 plane": (ValueError, "names an axis twice", lambda x, t: t.rot90(x, 1, [0, 0])),
    "rot90 one": (ValueError, "wanted two axes", lambda x, t: t.rot90(x, 1, [0])),
    "repeat few": (ValueError, "repeat: got counts", lambda x, t: x.repeat(2)),
    "repeat negative": (ValueError, "repeat: got counts", lambda x, t: x.repeat(-1, 1, 1)),
    "meshgrid": (ValueError, "wanted vectors", lambda x, t: t.meshgrid(x)),
    "meshgrid indexing": (ValueError, "wanted 'ij' or 'xy'", lambda x, t: t.meshgrid(x[0, 0], indexing="ab")),
    "meshgrid dtypes": (TypeError, "wanted one", lambda x, t: t.meshgrid(x[0, 0], t.arange(2))),
    "meshgrid nothing": (TypeError, "wanted one tensor", lambda x, t: t.meshgrid()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name, torch):
    kind, message, call = WRONG[name]
    with pytest.raises(kind, match=message):
        call(tinydl.ones(2, 3, 4), tinydl)
    with pytest.raises((RuntimeError, TypeError, ValueError, IndexError)):
        call(torch.ones(2, 3, 4), torch)
