"""Memory shared with NumPy, PyTorch and buffers: values, strides, lifetimes, read-only memory, refusals."""

import array as arrays
import ctypes
import gc
import weakref

import numpy as np
import pytest

import tinydl
from tests.support.arrays import layouts
from tinydl import _cpu

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
SHAPES = [(), (1,), (5,), (0,), (2, 3), (2, 0, 3), (2, 3, 4, 5)]
VERSIONS = [None, (0, 8), (1, 0), (1, 1)]


class Old:
    """A producer of the protocol before version 1."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, *, stream=None):
        return self.array.__dlpack__()


class Capsule:
    """A producer that hands out a given capsule, or refuses."""

    def __init__(self, capsule, device=1):
        self.capsule, self.device = capsule, device

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, **_):
        return self.capsule


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back(shape, dtype, rng):
    dtype = tinydl.dtypes.bfloat16() if dtype == "bfloat16" else np.dtype(dtype)
    values = rng.integers(0, 2, shape).astype(dtype)
    for _, view in layouts(values):
        for version in VERSIONS:
            x = tinydl.Tensor(view)
            y = tinydl.from_dlpack(Capsule(x.__dlpack__(max_version=version)))
            assert y.dtype == dtype
            assert y.numpy().tobytes() == values.tobytes()
            assert y.shape == shape
            if values.size:
                assert y.numpy().__array_interface__["data"] == view.__array_interface__["data"]
                assert y.stride() == x.stride() or 1 in shape
    assert x.__dlpack_device__() == (1, 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_numpy_both_ways(shape, rng):
    values = rng.standard_normal(shape)
    for _, view in layouts(values):
        ours = tinydl.from_dlpack(view)
        theirs = np.from_dlpack(ours)
        view[...] = 7
        assert (ours.numpy() == 7).all()
        assert (theirs == 7).all()


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_pytorch_both_ways(torch, dtype):
    theirs = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype))
    for view in (theirs, theirs.permute(2, 0, 1), theirs[:, 1:, ::2], theirs[:0], theirs[1, 2, 3]):
        ours = tinydl.from_dlpack(view)
        assert ours.shape == tuple(view.shape)
        assert ours.double().tolist() == view.double().tolist()
        back = torch.from_dlpack(ours)
        assert back.dtype == view.dtype
        assert torch.equal(back, view)
        if view.numel():
            assert ours.stride() == view.stride()
            assert back.data_ptr() == view.data_ptr()
    ours = tinydl.from_dlpack(theirs)
    theirs.fill_(1)
    assert ours.double().numpy().all()
    ours.zero_()
    assert not theirs.double().any()


def test_pytorch_reads_read_only_memory(torch):
    fixed = np.arange(3.0)
    fixed.flags.writeable = False
    assert torch.from_dlpack(tinydl.from_numpy(fixed)).tolist() == [0, 1, 2]


def test_read_only_memory():
    fixed = np.arange(3, dtype=np.float32)
    fixed.flags.writeable = False
    x = tinydl.from_dlpack(fixed)
    assert x.numpy().__array_interface__["data"] == fixed.__array_interface__["data"]
    assert (x + 1).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        x += 1
    assert not np.from_dlpack(x).flags.writeable
    with pytest.raises(BufferError, match="read-only memory needs a consumer that asks for version 1"):
        x.__dlpack__()
    copy = np.from_dlpack(tinydl.from_dlpack(x, copy=True))
    assert copy.flags.writeable
    assert tinydl.from_dlpack(Capsule(x.__dlpack__(copy=True))).numpy().flags.writeable


class Watched(np.ndarray):
    """Arrays that can be referred to weakly."""


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_memory_outlives_its_owner_and_no_longer(version):
    owner = np.arange(4.0).view(Watched)
    alive = weakref.ref(owner)
    x = tinydl.Tensor(owner)
    y = tinydl.from_dlpack(Capsule(x.__dlpack__(max_version=version)))
    part = y[1:3]
    del owner, x, y
    gc.collect()
    assert alive() is not None
    assert part.tolist() == [1, 2]
    del part
    gc.collect()
    assert alive() is None


def test_a_capsule_that_nobody_takes_frees_its_array():
    for version in VERSIONS:
        owner = np.arange(4.0).view(Watched)
        alive = weakref.ref(owner)
        capsule = tinydl.Tensor(owner).__dlpack__(max_version=version)
        del owner
        assert alive() is not None
        del capsule
        gc.collect()
        assert alive() is None


def test_pytorch_may_drop_the_memory_first_or_last(torch):
    theirs = torch.arange(5.0)
    ours = tinydl.from_dlpack(theirs)
    del theirs
    assert ours.tolist() == [0, 1, 2, 3, 4]
    theirs = torch.from_dlpack(ours)
    del ours
    assert theirs.tolist() == [0, 1, 2, 3, 4]


def test_old_producers_and_bare_capsules():
    values = np.arange(3)
    assert tinydl.from_dlpack(Old(values)).tolist() == [0, 1, 2]
    assert tinydl.from_dlpack(values.__dlpack__(max_version=(1, 0))).tolist() == [0, 1, 2]


def capsule_with(code, bits, lanes=1, device=1, version=(1, 0)):
    """A valid capsule of a vector of 8 bytes whose record was then changed."""
    capsule = tinydl.zeros(1, dtype="float64").__dlpack__(max_version=(1, 0))
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    record = get(capsule, b"dltensor_versioned")
    ctypes.c_uint32.from_address(record).value = version[0]
    tensor = record + 32  # behind version, context, deleter and flags
    ctypes.c_int32.from_address(tensor + 8).value = device
    dtype = tensor + 20
    ctypes.c_uint8.from_address(dtype).value = code
    ctypes.c_uint8.from_address(dtype + 1).value = bits
    ctypes.c_uint16.from_address(dtype + 2).value = lanes
    return capsule


def test_wrong_imports():
    assert tinydl.from_dlpack(capsule_with(2, 64)).tolist() == [0]
    used = np.zeros(2).__dlpack__()
    tinydl.from_dlpack(used)
    for wrong in (used, None, 3, object()):
        with pytest.raises(TypeError, match="from_dlpack: wanted an object with __dlpack__"):
            tinydl.from_dlpack(wrong)
    for code, bits, lanes in ((5, 64, 1), (2, 8, 1), (2, 64, 2), (0, 4, 1), (6, 16, 1), (4, 32, 1), (3, 64, 1)):
        with pytest.raises(TypeError, match=f"DLPack's code {code} with {bits} bits and {lanes} lanes"):
            tinydl.from_dlpack(capsule_with(code, bits, lanes))
    for wrong in (Capsule(None, device=2), capsule_with(2, 64, device=2)):
        with pytest.raises(BufferError, match="on a device of type 2"):
            tinydl.from_dlpack(wrong)
    with pytest.raises(BufferError, match="got version 2, wanted 1"):
        tinydl.from_dlpack(capsule_with(2, 64, version=(2, 0)))
    with pytest.raises(ValueError, match="device 'cuda' is not available"):
        tinydl.from_dlpack(np.zeros(2), device="cuda")


def test_wrong_exports():
    with pytest.raises(BufferError, match="requires a gradient"):
        tinydl.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(ValueError, match="got stream 1"):
        tinydl.ones(2).__dlpack__(stream=1)
    with pytest.raises(BufferError, match=r"device \(2, 0\) is wanted"):
        tinydl.ones(2).__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="got dtype complex128, wanted a dtype that DLPack knows"):
        _cpu.to_dlpack(np.zeros(2, complex), True, False)


# -- Buffers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_buffers_of_tensors(shape, dtype, rng):
    for _, view in layouts(rng.integers(0, 2, shape).astype(dtype)):
        x = tinydl.Tensor(view)
        seen = memoryview(x)
        assert seen.shape == shape
        assert seen.tobytes() == view.tobytes()
        assert np.array_equal(np.asarray(x), view)
        assert view.size == 0 or np.shares_memory(np.asarray(x), view)


def test_buffers_keep_the_memory():
    x = tinydl.arange(3)
    seen = memoryview(x)
    del x
    gc.collect()
    assert seen.tolist() == [0, 1, 2]
    seen[0] = 5
    assert seen.tolist() == [5, 1, 2]
    assert bytes(tinydl.tensor([1, 2], dtype="uint8")) == b"\x01\x02"
    assert memoryview(tinydl.nn.Parameter(tinydl.ones(2), requires_grad=False)).tolist() == [1, 1]
    with pytest.raises(BufferError, match=r"call detach\(\)"):
        memoryview(tinydl.nn.Parameter(tinydl.ones(2)))
    bfloat = tinydl.ones(2, dtype=tinydl.dtypes.bfloat16())
    assert np.asarray(bfloat).dtype == bfloat.dtype
    with pytest.raises(ValueError, match="wanted a class defined in Python"):
        _cpu.export_buffer(int)


def test_frombuffer(torch):
    raw = bytearray(range(16))
    for dtype in ("uint8", "int16", "float32", "float64", "bool"):
        for options in ({}, {"count": 1}, {"offset": 8}, {"count": 1, "offset": 8}):
            got = tinydl.frombuffer(raw, dtype=getattr(tinydl, dtype), **options)
            expected = torch.frombuffer(raw, dtype=getattr(torch, dtype), **options)
            assert got.numpy().tobytes() == expected.numpy().tobytes()
    x = tinydl.frombuffer(raw, dtype="int64", requires_grad=False)
    raw[0] = 255
    assert x.tolist()[0] % 256 == 255
    fixed = tinydl.frombuffer(b"ab", dtype="uint8")
    with pytest.raises(ValueError, match="read-only"):
        fixed.zero_()
    odd = tinydl.frombuffer(bytearray(9), dtype="float64", count=1, offset=1)
    assert (odd + 1).tolist() == [1]


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (0, {}),
        (3, {}),
        (4, {"offset": 1}),
        (4, {"count": 3}),
        (4, {"count": 0}),
        (4, {"offset": 4}),
        (4, {"offset": -2}),
    ],
)
def test_wrong_buffers(torch, size, options):
    raw = bytearray(size)
    with pytest.raises(ValueError, match=r"frombuffer: . bytes do not hold"):
        tinydl.frombuffer(raw, dtype="int16", **options)
    with pytest.raises(ValueError, match="buffer"):
        torch.frombuffer(raw, dtype=torch.int16, **options)


# -- asarray ---------------------------------------------------------------------------------------------------


def test_asarray(torch):
    numbers = np.arange(3, dtype=np.int32)
    for make in (lambda t: 3, lambda t: [1, 2.5], lambda t: [[True]], lambda t: numbers, lambda t: bytearray(8)):
        for dtype in (None, "float64", "uint8"):
            got, expected = (t.asarray(make(t), dtype=dtype and getattr(t, dtype)) for t in (tinydl, torch))
            assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
            assert got.tolist() == expected.tolist()
    x = tinydl.ones(2, requires_grad=True)
    assert tinydl.asarray(x) is x
    assert not tinydl.asarray(x, requires_grad=False).requires_grad
    assert tinydl.asarray(numbers, dtype="float32", requires_grad=True).requires_grad
    for shared in (numbers, torch.arange(3), arrays.array("f", [1, 2]), tinydl.ones(3)):
        y = tinydl.asarray(shared, copy=False)
        assert np.shares_memory(
            y.numpy(), np.frombuffer(shared, y.dtype) if isinstance(shared, arrays.array) else shared
        )
        assert not np.shares_memory(tinydl.asarray(shared, copy=True).numpy(), y.numpy())
    for wrong, dtype in (([1, 2], None), (3, None), (numbers, "float32"), (tinydl.ones(2), "int64")):
        with pytest.raises(ValueError, match="cannot be shared"):
            tinydl.asarray(wrong, dtype=dtype, copy=False)
