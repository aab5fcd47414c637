"""CuPy's face, as far as tinydl asks for it, over NumPy's memory: for what tinydl does beside the kernels.

`Fake` stands in for the module `cupy` and notes the calls that matter in `calls`. Its capsules carry CUDA's device
number, as CuPy's do, though their memory is the CPU's.
"""

import contextlib
import ctypes
import types
from importlib.machinery import ModuleSpec

import numpy as np

from tinydl import _cpu, backend, cuda, emulated, gpu_memory

CUDA = 2  # DLPack's number


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    def __init__(self, size, total, limit=0):
        self._size, self._total, self._limit = size, total, limit
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class Pointer:
    def __init__(self, ptr, device_id, owner=None):
        self.ptr, self.device_id, self.owner = ptr, device_id, owner


class Array(emulated.ndarray):
    """An array that says it is on a GPU."""

    def __init__(self, host, device_id=0):
        super().__init__(host)
        object.__setattr__(self, "device_id", device_id)

    def __getattr__(self, name):
        value = super().__getattr__(name)
        return (lambda *args, **kwargs: self._there(value(*args, **kwargs))) if callable(value) else self._there(value)

    def __array_function__(self, *args):
        return self._there(super().__array_function__(*args))

    def __array_ufunc__(self, *args, **kwargs):
        return self._there(super().__array_ufunc__(*args, **kwargs))

    def _there(self, value):
        return Array(value._host, self.device_id) if type(value) is emulated.ndarray else value

    @property
    def data(self):
        return Pointer(self._host.__array_interface__["data"][0], self.device_id)

    @property
    def device(self):
        return types.SimpleNamespace(id=self.device_id)

    @property
    def __cuda_array_interface__(self):
        return {**self._host.__array_interface__, "version": 3, "stream": 1}

    def __dlpack_device__(self):
        return CUDA, self.device_id

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        assert max_version is None or type(max_version) is tuple  # CuPy asks for one
        capsule = _cpu.to_dlpack(self._host.copy() if copy else self._host, max_version is not None, bool(copy))
        set_device(capsule, CUDA, self.device_id)
        FAKES[-1].calls.append(("__dlpack__", stream))
        return capsule


FAKES = []


def set_device(capsule, kind, number):
    """Change the device that a fresh capsule names."""
    get, name = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_GetName
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    record = get(capsule, name(capsule))
    tensor = record + (32 if name(capsule) == b"dltensor_versioned" else 0)
    assert ctypes.c_int32.from_address(tensor + 8).value in (1, CUDA)
    ctypes.c_int32.from_address(tensor + 8).value = kind
    ctypes.c_int32.from_address(tensor + 12).value = number


class Device:
    """Of a Fake's GPUs; as a context it is current."""

    def __init__(self, fake, number=None):
        self.fake, self.id = fake, fake.current if number is None else number

    @property
    def compute_capability(self):
        return self.fake.capabilities[self.id]

    def synchronize(self):
        self.fake.calls.append(("synchronize", self.id))

    def __enter__(self):
        self.before, self.fake.current = self.fake.current, self.id
        return self

    def __exit__(self, *_):
        self.fake.current = self.before


class Stream:
    """Notes what it is asked."""

    def __init__(self, fake, **options):
        self.fake, self.options = fake, options
        self.ptr = 0 if not hasattr(fake, "streams") else 100 + len(fake.calls)
        self.device_id = fake.current
        self.done = True
        if hasattr(fake, "streams"):
            fake.calls.append(("Stream", options))

    def __enter__(self):
        self.fake.streams.append(self)
        return self

    def __exit__(self, *_):
        assert self.fake.streams.pop() is self

    def synchronize(self):
        self.fake.calls.append(("synchronize", self.ptr))

    def begin_capture(self):
        assert self.fake.streams[-1] is self
        self.fake.calls.append(("begin_capture", self.ptr))

    def end_capture(self):
        assert self.fake.streams[-1] is self
        if self.fake.invalid:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated")
        return types.SimpleNamespace(launch=lambda: self.fake.calls.append("launch"))

    def wait_event(self, event):
        self.fake.calls.append(("wait_event", self.ptr, event.stream.ptr))


class Event:
    def __init__(self, fake, **options):
        self.fake, self.options, self.device_id = fake, options, fake.current
        self.done = False

    def record(self, stream):
        assert stream.device_id == self.device_id  # CUDA refuses others
        self.stream, self.at, self.done = stream, len(self.fake.calls), True
        self.fake.calls.append(("record", stream.ptr))

    def synchronize(self):
        self.fake.calls.append(("synchronize", self))


class Pool:
    """Notes when its unused blocks are given back."""

    def __init__(self, fake, allocator):
        self.fake, self.allocator = fake, allocator

    def malloc(self, size):
        self.allocator(size)
        return self.fake.pool_alloc(size)

    def free_all_blocks(self):
        self.fake.calls.append(("free_all_blocks", self))


class Fake(types.ModuleType):
    """The module `cupy` of a machine with the GPUs of some compute capabilities."""

    def __init__(self, capabilities=("90",), error=None):
        super().__init__("cupy")
        self.__spec__ = ModuleSpec("cupy", None)
        self.capabilities, self.current, self.calls = list(capabilities), 0, []
        self.ndarray, self.invalid = Array, False
        self.free, self.allocator = 1 << 20, self.pool_alloc
        self.streams = [Stream(self)]

        def count():
            if error:
                raise CUDARuntimeError(error)
            return len(self.capabilities)

        self.cuda = types.SimpleNamespace(
            Device=lambda number=None: Device(self, number),
            alloc=lambda size: self.allocator(size),
            get_allocator=lambda: self.allocator,
            set_allocator=lambda allocator: setattr(self, "allocator", allocator),
            Stream=type(
                "Stream", (), {"__new__": lambda _, **options: Stream(self, **options), "null": self.streams[0]}
            ),
            Event=lambda **options: Event(self, **options),
            get_current_stream=lambda: self.streams[-1],
            MemoryPool=lambda allocator: Pool(self, allocator),
            Memory=lambda size: self.calls.append(("Memory", size)),
            MemoryPointer=lambda memory, offset: (memory, offset),
            using_allocator=self.using_allocator,
            get_elapsed_time=lambda start, end: float(end.at - start.at),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            runtime=types.SimpleNamespace(
                CUDARuntimeError=CUDARuntimeError,
                getDeviceCount=count,
                getDevice=lambda: self.current,
                setDevice=lambda number: setattr(self, "current", number),
                memGetInfo=lambda: (self.free, 1 << 30),
            ),
        )

    def get_default_memory_pool(self):
        return types.SimpleNamespace(
            total_bytes=lambda: 3 << 20, used_bytes=lambda: 2 << 20, free_all_blocks=lambda: None
        )

    def pool_alloc(self, size):
        if size > self.free:
            raise OutOfMemoryError(size, 7)
        memory = np.zeros(max(size, 1), np.uint8)
        return Pointer(memory.ctypes.data, self.current, memory)

    @contextlib.contextmanager
    def using_allocator(self, allocator):
        before, self.allocator = self.allocator, allocator
        try:
            yield
        finally:
            self.allocator = before

    def zeros(self, shape, dtype):
        return Array(np.zeros(shape, dtype), self.current)

    empty = zeros

    def asarray(self, value):
        if hasattr(value, "__cuda_array_interface__") and not isinstance(value, Array):
            interface = {k: v for k, v in value.__cuda_array_interface__.items() if k != "stream"}
            value = np.asarray(types.SimpleNamespace(__array_interface__=interface, keep=value))
            return Array(value, self.current)
        return Array(np.array(value), self.current)

    def from_dlpack(self, producer):
        kind, number = producer.__dlpack_device__()
        assert kind == CUDA
        capsule = producer.__dlpack__(stream=1, max_version=(1, 0), copy=None)
        set_device(capsule, 1, 0)
        return Array(_cpu.from_dlpack(capsule), number)


def install(monkeypatch, kernels=None, **options):
    """Make a Fake the machine's CuPy for a test; `kernels` stands for `tinydl._cuda`."""
    fake = Fake(**options)
    kernels = kernels or types.ModuleType("tinydl._cuda")
    kernels.__dict__.setdefault("use_arrays", lambda *args: fake.calls.append(("use_arrays", args)))
    kernels.__dict__.setdefault("raise_reported", lambda: fake.calls.append("raise_reported"))
    kernels.__dict__.setdefault("set_offset_of_replay", lambda array: fake.calls.append(("offset", array is not None)))
    kernels.__dict__.setdefault("set_slots_of_replay", lambda array, fills=False: [])
    kernels.__dict__.setdefault("architectures", "80-real;90a-real;90-virtual")
    if kernels.__spec__ is None:
        kernels.__spec__ = ModuleSpec("tinydl._cuda", None)
    monkeypatch.setitem(__import__("sys").modules, "cupy", fake)
    monkeypatch.setitem(__import__("sys").modules, "tinydl._cuda", kernels)
    monkeypatch.setattr(backend, "_homes", dict(backend._homes))
    monkeypatch.setattr("tests.support.fake_cupy.FAKES", [fake])
    forget_the_machine()
    return fake


def forget_the_machine():
    """Let tinydl look again at what there is."""
    gpu_memory._unused.clear()
    for cached in (cuda._missing, cuda._unfit, cuda._load_cuda, cuda._constant):
        cached.cache_clear()
