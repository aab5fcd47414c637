"""What tinydl asks of CuPy about GPUs, and what it says where one is missing or has no memory left."""

import inspect
import subprocess
import sys
import types

import numpy as np
import pytest

import tinydl
from tests.support import fake_cupy
from tinydl import anywhere, backend, cuda, emulated


@pytest.fixture
def machine(monkeypatch):
    """Makes a machine with some GPUs."""
    yield lambda *capabilities, **options: fake_cupy.install(monkeypatch, capabilities=capabilities, **options)
    fake_cupy.forget_the_machine()


# -- What is missing --------------------------------------------------------------------------------------------


def refusal(device="cuda"):
    with pytest.raises(ValueError, match=f"device '{device}' is not available: ") as error:
        tinydl.ones(2, device=device)
    return str(error.value).partition("available: ")[2]


def test_no_driver(machine):
    machine("90", error="cudaErrorInsufficientDriver")
    assert refusal() == "CUDA does not start; is NVIDIA's driver installed? (cudaErrorInsufficientDriver)"
    assert not cuda.is_available()
    assert cuda.device_count() == 0


def test_no_gpu(machine):
    machine()
    assert refusal() == "the machine has no GPU that CUDA can use"
    assert not cuda.is_available()


def broken(folder, monkeypatch, name, text):
    """A module that does not load, where Python looks for it."""
    (folder / f"{name.rpartition('.')[2]}.py").write_text(f"raise ImportError({text!r})")
    monkeypatch.delitem(sys.modules, name)
    if name == "cupy":
        monkeypatch.syspath_prepend(folder)
    else:
        monkeypatch.setattr(tinydl, "__path__", [str(folder)])
    fake_cupy.forget_the_machine()


@pytest.mark.parametrize(
    ("name", "says"),
    [("cupy", "CuPy is installed but does not load: "), ("tinydl._cuda", "this build's CUDA kernels do not load: ")],
)
def test_what_does_not_load(machine, monkeypatch, tmp_path, name, says):
    machine("90")
    broken(tmp_path, monkeypatch, name, "libcudart.so.13: no such file")
    assert not cuda.is_available()
    assert cuda.device_count() == 0
    assert refusal() == says + "libcudart.so.13: no such file"
    assert cuda.describe() == f"none: {says}libcudart.so.13: no such file"


def test_too_few_gpus(machine):
    machine("90", "90")
    assert cuda.is_available()
    assert refusal("cuda:2") == "the machine has 2 GPU(s), numbered from 0"


def test_an_old_gpu(machine):
    machine("75", "80", "100")
    assert refusal() == "GPU 0 has compute capability 7.5, the kernels want 8.0 (Ampere) or later"
    assert not cuda.is_available()
    cuda.load(tinydl.device("cuda:1"))
    cuda.load(tinydl.device("cuda:2"))
    with pytest.raises(ValueError, match=r"'cuda:0' is not available: GPU 0 has compute capability 7\.5"):
        cuda.set_device(0)


def test_a_build_for_other_gpus(machine):
    machine("86", kernels=types.SimpleNamespace(architectures="90a-real;90-virtual", __spec__=None))
    text = "GPU 0 has compute capability 8.6, and this build has kernels for 90a-real;90-virtual: "
    assert refusal() == text + "build with -DCMAKE_CUDA_ARCHITECTURES=native"


@pytest.mark.parametrize(
    ("architectures", "fit"),
    [
        ("80-real;90a-real;90-virtual", {80, 86, 89, 90, 100, 120}),
        ("80-real", {80, 86, 89}),
        ("86-real", {86, 89}),
        ("90a-real", {90}),
        ("90a", {90}),
        ("80-virtual", {80, 86, 89, 90, 100, 120}),
        ("86", {86, 89, 90, 100, 120}),
        ("100f-real", {100}),
        ("native", {80, 86, 89, 90, 100, 120}),
    ],
)
def test_which_builds_run_where(architectures, fit):
    capabilities = (80, 86, 89, 90, 100, 120)
    assert {c for c in capabilities if cuda.compiled_for(c, architectures)} == fit


# -- The current GPU --------------------------------------------------------------------------------------------


def test_the_current_gpu(machine):
    fake = machine("90", "80")
    cuda.set_device("cuda:1")
    assert cuda.current_device() == fake.current == 1
    with cuda.device(0):
        assert cuda.current_device() == 0
        with cuda.device(None):
            assert cuda.current_device() == 0
        with pytest.raises(ValueError, match="'cuda:5' is not available"), cuda.device(5):
            pass
        assert cuda.current_device() == 0
    assert cuda.current_device() == 1
    again = cuda.device("cuda:0")
    with again, cuda.device(1), again:
        assert cuda.current_device() == 0
    assert cuda.current_device() == 1
    for wrong, message in (
        (-1, "got the number -1"),
        ("cpu", "got 'cpu', wanted a GPU such as 1"),
        ("gpu", "got 'gpu'"),
    ):
        with pytest.raises(ValueError, match=message):
            cuda.set_device(wrong)
    with pytest.raises(TypeError):
        cuda.set_device(1.5)


def test_tensors_go_to_the_current_gpu_or_the_named_one(machine):
    machine("90", "80")
    assert tinydl.ones(2, device="cuda").device == "cuda:0"
    x = tinydl.ones(2, device="cuda:1")
    assert x.device == "cuda:1"
    with cuda.device(1):
        assert x.to("cuda") is x
        assert tinydl.ones(2, device="cuda").device == "cuda:1"
    assert x.to("cuda:1") is x
    assert x.to("cuda").device == "cuda:0"


class Elsewhere(emulated.ndarray):
    """An emulated array that says it is on GPU 1."""

    @property
    def data(self):
        return fake_cupy.Pointer(super().data.ptr, 1)


def test_kernels_refuse_arrays_of_another_gpu(gpu_kernels):
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")
    y = tinydl.ones(2, 2, device="cuda-emulated")
    backend.add_home(Elsewhere, backend._homes[emulated.ndarray])
    x = tinydl.Tensor(Elsewhere(np.ones((2, 2), np.float32)))
    wanted = r"'cuda:1', wanted the current GPU, 'cuda:0'; call tinydl\.cuda\.set_device\(1\), or move the array"
    try:
        for call in (x.relu, lambda: x + y, lambda: y + x, lambda: y @ x, lambda: x.sum(), lambda: x.softmax(1)):
            with pytest.raises(ValueError, match=wanted):
                call()
    finally:
        del backend._homes[Elsewhere]


# -- Streams ----------------------------------------------------------------------------------------------------


def test_streams(machine):
    fake = machine("90", "80")
    side = cuda.Stream("cuda:1", priority=-1)
    assert fake.calls[-1] == ("Stream", {"non_blocking": True, "priority": -1})
    assert side.device == "cuda:1"
    assert side != cuda.current_stream()
    assert cuda.current_stream() == cuda.default_stream()
    before = cuda.current_stream()
    with cuda.stream(side) as current:
        assert current is side
        assert cuda.current_device() == 1
        assert fake.cuda.get_current_stream() is side.cupy_stream
        with cuda.stream(None):
            assert cuda.current_stream() == side
    assert cuda.current_device() == 0
    assert cuda.current_stream() == before
    fake.calls.clear()
    before.wait_stream(side)
    assert fake.calls == [("record", side.cuda_stream), ("wait_event", 0, side.cuda_stream)]
    side.synchronize()
    assert fake.calls[-1] == ("synchronize", side.cuda_stream)
    assert side.query()


def test_events(machine):
    fake = machine("90")
    start, end = (cuda.Event(enable_timing=True) for _ in range(2))
    assert start.cupy_event.options == {"block": False, "disable_timing": False, "interprocess": False}
    assert not start.query()
    start.record()
    end.record(cuda.current_stream())
    assert start.elapsed_time(end) == 1
    side = cuda.Stream()
    end.wait(side)
    assert fake.calls[-1] == ("wait_event", side.cuda_stream, 0)


def test_synchronize_reports_wrong_indices(machine):
    fake = machine("90")
    cuda.synchronize()
    assert fake.calls == [("synchronize", 0), "raise_reported"]


# -- Memory -----------------------------------------------------------------------------------------------------


def test_out_of_memory(machine):
    fake = machine("90")
    cuda.load(tinydl.device("cuda"))
    _, _, memory, _, _ = next(call[1] for call in fake.calls if call[0] == "use_arrays")
    assert memory(100).ptr
    for kind in (tinydl.cuda.OutOfMemoryError, MemoryError, RuntimeError, fake_cupy.OutOfMemoryError):
        with pytest.raises(kind) as error:
            memory(3 << 29)
    assert str(error.value) == (
        "CUDA out of memory: 1.5 GiB were asked for on 'cuda:0', which has 1.0 GiB, 1.0 MiB of them free; CuPy's pool "
        "holds 3.0 MiB, 2.0 MiB of them in arrays. Smaller batches, 16-bit numbers and no_grad() need less; "
        "tinydl.cuda.empty_cache() gives back what the pool holds unused"
    )
    assert type(error.value.__cause__) is fake_cupy.OutOfMemoryError
    with pytest.raises(tinydl.cuda.OutOfMemoryError) as again:  # a translated allocator in another
        tinydl.gpu_memory.explaining(memory, fake)(3 << 29)
    assert type(again.value.__cause__) is fake_cupy.OutOfMemoryError


def test_an_allocator_in_use_stays(machine):
    fake = machine("90")

    def refuse(_):
        raise ValueError("Can't change the global allocator inside using_allocator")

    fake.cuda.set_allocator = refuse
    cuda.load(tinydl.device("cuda"))
    assert fake.allocator == fake.pool_alloc


def test_kernels_pass_on_what_the_allocator_raises(gpu_kernels, monkeypatch):
    """Results and scratch memory alike."""
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")
    module = gpu_kernels.module

    def none_left(*_):
        raise tinydl.cuda.OutOfMemoryError("no memory")

    x = emulated.asarray(np.ones((300, 7), np.float32))
    try:
        for array, memory in ((none_left, emulated.Memory), (emulated.allocate, none_left)):
            module.use_arrays(emulated.ndarray, array, memory, lambda: 0, emulated.asarray)
            with pytest.raises(tinydl.cuda.OutOfMemoryError, match="no memory"):
                module.relu(x) if array is none_left else module.total_norm([x], "euclidean")
    finally:
        emulated.use_for(module)
    assert module.relu(x).get().all()


def test_memory_within_cupys_own_functions():
    """CuPy's functions allocate through the allocator that tinydl wraps; that needs no driver."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed (extra: cuda)")
    runtime = types.SimpleNamespace(memGetInfo=lambda: (1 << 20, 1 << 30), getDevice=lambda: 0)
    pool = types.SimpleNamespace(total_bytes=lambda: 0, used_bytes=lambda: 0)
    machine = types.SimpleNamespace(
        cuda=types.SimpleNamespace(memory=cupy.cuda.memory, runtime=runtime), get_default_memory_pool=lambda: pool
    )

    def none_left(size):
        raise cupy.cuda.memory.OutOfMemoryError(size, 0)

    with cupy.cuda.using_allocator(tinydl.gpu_memory.explaining(none_left, machine)):
        for kind in (tinydl.cuda.OutOfMemoryError, cupy.cuda.memory.OutOfMemoryError):
            with pytest.raises(kind):
                cupy.empty(1 << 20)
        with pytest.raises(
            tinydl.cuda.OutOfMemoryError, match=r"4\.0 MiB were asked for on 'cuda:0', which has 1\.0 GiB"
        ):
            cupy.empty(1 << 20, "float32")


def test_cupy_has_what_is_asked_of_it():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed (extra: cuda)")
    there = cupy.cuda
    for owner, names in (
        (there, "Device Event MemoryPool Stream alloc get_allocator get_current_stream get_elapsed_time set_allocator"),
        (there.Stream, "begin_capture end_capture wait_event synchronize done null __enter__ __exit__"),
        (there.Event, "record synchronize done"),
        (there.graph.Graph, "launch"),
        (there.runtime, "getDevice setDevice getDeviceCount getDeviceProperties memGetInfo CUDARuntimeError"),
        (cupy.ndarray, "__dlpack__ __dlpack_device__ __cuda_array_interface__ fill get device data"),
        (there.MemoryPool, "malloc total_bytes used_bytes free_all_blocks"),
    ):
        assert [name for name in names.split() if not hasattr(owner, name)] == []
    assert {"non_blocking", "priority"} <= set(inspect.signature(there.Stream).parameters)
    assert {"block", "disable_timing", "interprocess"} <= set(inspect.signature(there.Event).parameters)


def test_a_gpu_that_is_full(gpu):
    with pytest.raises(tinydl.cuda.OutOfMemoryError, match="were asked for on 'cuda:"):
        tinydl.empty(1 << 45, dtype="uint8", device="cuda")


def test_a_module_whose_device_nobody_used(gpu_kernels):
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")
    code = "import numpy, tinydl._cuda_emulated as m\nm.relu(numpy.zeros(()))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "RuntimeError: tinydl._cuda_emulated: called before its device was used" in out.stderr


# -- What CuPy lacks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_erfc_keeps_the_dtype(machine, monkeypatch, dtype):
    machine("90")
    cuda.load(tinydl.device("cuda"))
    loops = types.ModuleType("cupyx.scipy.special")  # those that CuPy has
    loops.erfc = lambda x: fake_cupy.Array(x._host.astype({"e": "d"}.get(x.dtype.char, x.dtype.char)))
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", loops)
    assert anywhere.erfc(fake_cupy.Array(np.ones(2, dtype))).dtype == dtype
