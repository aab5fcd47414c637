"""GPU memory shared with other libraries: what tinydl asks of CuPy and tells consumers; on a GPU, the memory itself."""

import numpy as np
import pytest

import tinydl
from tests.support import fake_cupy
from tests.support.fake_cupy import Array, set_device
from tinydl import _cpu, backend

DTYPES = ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "float64"]


@pytest.fixture
def cupy(monkeypatch):
    yield fake_cupy.install(monkeypatch, capabilities=("90", "80"))
    fake_cupy.forget_the_machine()


def values_of(dtype, shape=(2, 3)):
    return np.arange(np.prod(shape)).reshape(shape).astype(getattr(tinydl, dtype, dtype))


class Foreign:
    """Another library's tensor on a GPU."""

    def __init__(self, host, number=0):
        self.host, self.number, self.asked = host, number, []

    def __dlpack_device__(self):
        return 2, self.number

    def __dlpack__(self, **asked):
        self.asked.append(asked)
        if asked.get("dl_device") == (1, 0):
            return _cpu.to_dlpack(self.host.copy(), True, True)
        capsule = _cpu.to_dlpack(self.host, True, False)
        set_device(capsule, 2, self.number)
        return capsule


class Interface:
    """Another library's tensor with the CUDA array interface alone."""

    def __init__(self, host):
        self.host = host

    @property
    def __cuda_array_interface__(self):
        return {**self.host.__array_interface__, "version": 3, "stream": None}


@pytest.mark.parametrize("dtype", DTYPES)
def test_imports_share_memory(cupy, dtype):
    dtype = tinydl.dtypes.bfloat16() if dtype == "bfloat16" else np.dtype(dtype)
    for host in (
        np.arange(6).reshape(2, 3).astype(dtype),
        np.arange(6).reshape(2, 3).astype(dtype).T,
        np.ones((), dtype),
    ):
        for take in (tinydl.from_dlpack, tinydl.asarray):
            x = take(Foreign(host, 1))
            assert x.device == "cuda:1"
            assert x.dtype == dtype
            assert x.shape == host.shape
            assert x._data.strides == host.strides
            assert x._data.data.ptr == host.ctypes.data


def test_the_array_interface_is_taken(cupy):
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    for x in (
        tinydl.as_tensor(Interface(host)),
        tinydl.asarray(Interface(host), copy=False),
        tinydl.Tensor(Interface(host)),
    ):
        assert x.device == "cuda:0"
        assert x._data.data.ptr == host.ctypes.data
    copy = tinydl.tensor(Interface(host))
    assert copy.device == "cuda:0"
    assert copy._data.data.ptr != host.ctypes.data
    assert tinydl.as_tensor(Interface(host), dtype="float64").dtype == np.float64
    with pytest.raises(TypeError, match="got data of dtype complex64, wanted numbers"):
        tinydl.as_tensor(Interface(host.astype(np.complex64)))


def test_cupy_arrays_are_taken_before_anything_else_was_done(cupy):
    array = Array(np.ones(3, np.float32), 1)
    assert tinydl.as_tensor(array)._data is array
    assert tinydl.Tensor(array)._data is array
    assert tinydl.asarray(array).device == "cuda:1"
    assert tinydl.asarray(array, device="cpu").tolist() == [1, 1, 1]
    assert tinydl.tensor(array, device="cpu").numpy().tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="data on 'cuda:1' cannot be shared on 'cpu'"):
        tinydl.asarray(array, device="cpu", copy=False)


def test_misaligned_memory_is_copied(cupy):
    raw = np.zeros(9, np.uint8)
    raw[1:5] = np.frombuffer(np.float32([5]).tobytes(), np.uint8)
    odd = raw[1:].view(np.float32)
    x = tinydl.as_tensor(Array(odd))
    assert x._data.data.ptr % 4 == 0
    assert x.cpu().tolist() == [5, 0]


def test_exports(cupy):
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = tinydl.as_tensor(Array(host, 1))
    assert x.__dlpack_device__() == (2, 1)
    capsule = x.__dlpack__(stream=7, max_version=[1, 0], dl_device=[2, 1])
    assert cupy.calls[-1] == ("__dlpack__", 7)
    set_device(capsule, 1, 0)
    assert _cpu.from_dlpack(capsule).ctypes.data == host.ctypes.data
    assert x.__cuda_array_interface__["data"][0] == host.ctypes.data
    assert cupy.from_dlpack(x).data.ptr == host.ctypes.data
    with pytest.raises(BufferError, match=r"the memory is on device \(2, 1\), device \(2, 0\) is wanted"):
        x.__dlpack__(dl_device=(2, 0))


def test_exports_to_the_cpu(cupy):
    x = tinydl.as_tensor(Array(np.arange(6, dtype=np.float32).reshape(2, 3)))
    host = _cpu.from_dlpack(x.__dlpack__(max_version=(1, 0), dl_device=(1, 0)))
    assert host.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert host.ctypes.data != x._data.data.ptr
    with pytest.raises(BufferError, match="the tensor is on 'cuda:0', and copy=False forbids a copy to the CPU"):
        x.__dlpack__(dl_device=(1, 0), copy=False)


def test_what_requires_a_gradient_is_refused(cupy):
    x = tinydl.as_tensor(Array(np.ones(2, np.float32))).requires_grad_()
    with pytest.raises(RuntimeError, match=r"__cuda_array_interface__: the tensor requires a gradient; use detach\(\)"):
        x.__cuda_array_interface__  # noqa: B018
    with pytest.raises(BufferError, match="requires a gradient"):
        x.__dlpack__()
    assert x.detach().__cuda_array_interface__["shape"] == (2,)


def test_imports_to_the_cpu_ask_the_producer_and_need_no_cupy():
    foreign = Foreign(np.arange(3.0))
    x = tinydl.from_dlpack(foreign, device="cpu")
    assert x.device == "cpu"
    assert x.tolist() == [0, 1, 2]
    assert foreign.asked == [{"max_version": (1, 0), "dl_device": (1, 0), "copy": None}]


def test_moves_are_not_forbidden_copies(cupy):
    with pytest.raises(BufferError, match="the memory is on 'cpu', and copy=False forbids moving it"):
        tinydl.from_dlpack(np.zeros(2), device="cuda", copy=False)
    assert tinydl.from_dlpack(np.zeros(2), device="cuda").device == "cuda:0"


def test_without_a_gpu():
    if tinydl.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BufferError, match="on a device of type 2, CUDA's, and device 'cuda:0' is not available: "):
        tinydl.from_dlpack(Foreign(np.zeros(2)))
    with pytest.raises(ValueError, match="device 'cuda' is not available: "):
        tinydl.as_tensor(Interface(np.zeros(2)))
    opencl = type("OpenCL", (Foreign,), {"__dlpack_device__": lambda self: (4, 0)})
    with pytest.raises(BufferError, match="on a device of type 4, wanted"):
        tinydl.from_dlpack(opencl(np.zeros(2)))


def test_cpu_tensors_have_no_cuda_array_interface():
    x = tinydl.ones(2)
    assert not hasattr(x, "__cuda_array_interface__")
    with pytest.raises(AttributeError, match="the tensor is on 'cpu', wanted one on 'cuda'"):
        x.__cuda_array_interface__  # noqa: B018


def test_the_emulated_device_shares_no_memory(gpu_kernels):
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")
    x = tinydl.arange(3, device="cuda-emulated")
    assert not hasattr(x, "__cuda_array_interface__")
    for call in (x.__dlpack__, x.__dlpack_device__):
        with pytest.raises(BufferError, match=r"cannot use the memory of device 'cuda-emulated'; call cpu\(\) first"):
            call()
    assert _cpu.from_dlpack(x.__dlpack__(dl_device=(1, 0))).tolist() == [0, 1, 2]


# -- CuPy itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_cupy_reads_capsules_of_every_dtype(dtype):
    """Bare capsules need no driver; the memory, which nothing touches here, is the CPU's."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed (extra: cuda)")
    dtype = tinydl.dtypes.bfloat16() if dtype == "bfloat16" else np.dtype(dtype)
    host = np.arange(6).reshape(2, 3).astype(dtype).T
    capsule = _cpu.to_dlpack(host, True, False)
    set_device(capsule, 2, 0)
    array = cupy.from_dlpack(capsule)
    assert (array.dtype, array.shape, array.strides) == (dtype, host.shape, host.strides)
    assert array.data.ptr == host.ctypes.data


# -- On a GPU ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_there_and_back_on_a_gpu(gpu, dtype):
    cupy = pytest.importorskip("cupy")
    dtype = tinydl.dtypes.bfloat16() if dtype == "bfloat16" else np.dtype(dtype)
    x = tinydl.tensor(np.arange(6).reshape(2, 3).astype(dtype), device="cuda").t()
    theirs = cupy.from_dlpack(x)
    ours = tinydl.from_dlpack(theirs)
    assert theirs.data.ptr == ours._data.data.ptr == x._data.data.ptr
    assert ours.stride() == x.stride()
    assert ours.dtype == dtype
    assert np.from_dlpack(tinydl.from_dlpack(x, device="cpu").float()).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_pytorch_both_ways_on_a_gpu(gpu, torch):
    if not torch.cuda.is_available():
        pytest.skip("PyTorch has no GPU")
    for dtype in (torch.float32, torch.bfloat16):
        theirs = torch.arange(6, device="cuda").reshape(2, 3).to(dtype).t()
        ours = tinydl.as_tensor(theirs)
        assert ours._data.data.ptr == theirs.data_ptr()
        back = torch.from_dlpack(ours)
        assert back.data_ptr() == theirs.data_ptr()
        assert back.stride() == theirs.stride()
        ours.zero_()
        assert not theirs.any()
    assert torch.as_tensor(tinydl.ones(3, device="cuda"), device="cuda").tolist() == [1, 1, 1]
    assert backend.is_on_host(tinydl.from_dlpack(theirs, device="cpu")._data)
