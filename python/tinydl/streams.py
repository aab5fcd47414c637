"""Which GPU is current, streams and events: PyTorch's names over CuPy's."""

from __future__ import annotations

from typing import Any

from . import devices


def _cupy(where: str | None = None) -> Any:
    """CuPy, with a GPU that works."""
    from .cuda import load

    load(devices.device("cuda" if where is None else where))
    import cupy

    return cupy


def _name_of(op: str, device: Any) -> str:
    """The full name of a GPU given as a number or a name; "cuda" is the current one."""
    if isinstance(device, int) and not isinstance(device, bool):
        if device < 0:
            raise ValueError(f"{op}: got the number {device}, wanted one from 0")
        return f"cuda:{device}"
    named = devices.device(device)
    if named.type != "cuda":
        raise ValueError(f"{op}: got '{named}', wanted a GPU such as 1 or 'cuda:1'")
    return f"cuda:{current_device()}" if named.index is None else str(named)


def current_device() -> int:
    """The number of the current GPU, of this thread."""
    return int(_cupy().cuda.runtime.getDevice())


def set_device(device: int | str) -> None:
    """Make a GPU, such as 1 or "cuda:1", this thread's current one: "cuda" then means it, and operations run there.

    Operations refuse tensors of another GPU than the current one. A new thread begins with GPU 0.

    Raises:
        ValueError: there is no such GPU, or it is too old.
    """
    name = _name_of("set_device", device)
    _cupy(name).cuda.runtime.setDevice(devices.device(name).index)


class device:
    """`with tinydl.cuda.device(1): ...` makes a GPU the current one for a block; None leaves it as it is."""

    def __init__(self, device: int | str | None) -> None:
        self.device = device
        self._before: list[int] = []

    def __enter__(self) -> device:
        self._before.append(current_device())
        if self.device is not None:
            set_device(self.device)
        return self

    def __exit__(self, *_: Any) -> None:
        _cupy().cuda.runtime.setDevice(self._before.pop())


def _at(where: int | str | None) -> device:
    """`device`, where an argument has that name."""
    return device(where)


# -- Streams ----------------------------------------------------------------------------------------------------


class Stream:
    """A queue of work of a GPU: what is in one runs in order, what is in several runs side by side.

    `with tinydl.cuda.stream(s): ...` queues a block's work in it. Memory that a tensor gives back is used again by
    later work of the stream it was made on: a tensor used on another one must live until that has done with it.

    Args:
        device: which GPU's; by default the current one's.
        priority: lower numbers come first.
    """

    def __init__(self, device: int | str | None = None, priority: int = 0, *, _made: Any = None) -> None:
        with _at(device):
            self.cupy_stream = _cupy().cuda.Stream(non_blocking=True, priority=priority) if _made is None else _made
            self.device = devices.device("cuda", current_device())

    @property
    def cuda_stream(self) -> int:
        """CUDA's handle, as a number."""
        return int(self.cupy_stream.ptr)

    def synchronize(self) -> None:
        """Wait until all work of the stream is done."""
        self.cupy_stream.synchronize()

    def query(self) -> bool:
        """Whether all work of the stream is done."""
        return bool(self.cupy_stream.done)

    def record_event(self, event: Event | None = None) -> Event:
        """Mark this point of the stream by an event, by default a new one."""
        with _at(self.device):
            event = Event() if event is None else event
            event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let later work of this stream wait for an event; the CPU does not wait."""
        self.cupy_stream.wait_event(event.cupy_event)

    def wait_stream(self, stream: Stream) -> None:
        """Let later work of this stream wait for all that another one has by now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream and self.device == other.device

    def __hash__(self) -> int:
        return hash((self.cuda_stream, self.device))


class Event:
    """A point in a stream, to wait for or to measure time from.

    Args:
        enable_timing: for `elapsed_time`.
        blocking: `synchronize` lets the CPU sleep instead of asking again and again.
        interprocess: other processes may use it.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.cupy_event = _cupy().cuda.Event(
            block=blocking, disable_timing=not enable_timing, interprocess=interprocess
        )

    def record(self, stream: Stream | None = None) -> None:
        """Mark the present point of a stream, by default the current one."""
        self.cupy_event.record((current_stream() if stream is None else stream).cupy_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let later work of a stream, by default the current one, wait for the event."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Whether the point was passed."""
        return bool(self.cupy_event.done)

    def synchronize(self) -> None:
        """Wait for the event."""
        self.cupy_event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """The milliseconds from this event to a later one; both with `enable_timing`, and passed."""
        return float(_cupy().cuda.get_elapsed_time(self.cupy_event, end_event.cupy_event))


def current_stream(device: int | str | None = None) -> Stream:
    """The stream that a GPU's work goes to, by default the current GPU's."""
    with _at(device):
        return Stream(_made=_cupy().cuda.get_current_stream())


def default_stream(device: int | str | None = None) -> Stream:
    """The stream that a GPU's work goes to where nothing else is said."""
    return Stream(device, _made=_cupy().cuda.Stream.null)


class stream:
    """`with tinydl.cuda.stream(s): ...` queues a block's work in a stream, with its GPU the current one."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self._device = None if stream is None else device(stream.device)

    def __enter__(self) -> Stream | None:
        if self.stream is not None and self._device is not None:
            self._device.__enter__()
            self.stream.cupy_stream.__enter__()
        return self.stream

    def __exit__(self, *error: Any) -> None:
        if self.stream is not None and self._device is not None:
            self.stream.cupy_stream.__exit__(*error)
            self._device.__exit__(*error)
