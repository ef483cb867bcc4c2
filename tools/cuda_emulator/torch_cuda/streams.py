"""Streams and events of torch.cuda."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator
from typing import Any

import torch

from torch_cuda import library

NON_BLOCKING = 1
CYCLES_OF_ONE = 100_000_000


class Stream:
    """A stream. It is never destroyed, like torch's, which come from a pool."""

    def __init__(self, device: Any = None, priority: int = 0, *, cuda_stream: int | None = None) -> None:
        self.device_index = library.resolve("cuda" if device is None else device)
        self.cuda_stream = (
            library.handle_of("cudaStreamCreateWithFlags", NON_BLOCKING) if cuda_stream is None else cuda_stream
        )

    @property
    def device(self) -> torch.device:
        return library.name(self.device_index)

    def synchronize(self) -> None:
        library.call("cudaStreamSynchronize", self.cuda_stream)

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        self.wait_event(stream.record_event())


class Event:
    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._handle = library.handle_of("cudaEventCreateWithFlags", 0)
        self._recorded_s = 0.0

    def record(self, stream: Stream | None = None) -> None:
        library.call("cudaEventRecord", self._handle, (stream or current_stream()).cuda_stream)
        self._recorded_s = time.perf_counter()

    def wait(self, stream: Stream | None = None) -> None:
        library.call("cudaStreamWaitEvent", (stream or current_stream()).cuda_stream, self._handle, 0)

    def query(self) -> bool:
        return library.ask("cudaEventQuery", self._handle) == 0

    def synchronize(self) -> None:
        library.call("cudaEventSynchronize", self._handle)

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds between the calls of record on the host, because the emulated device has no clock."""
        return 1e3 * (end._recorded_s - self._recorded_s)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be ending
            library.ask("cudaEventDestroy", self._handle)


class _Current(threading.local):
    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}


_current = _Current()


def default_stream(device: Any = None) -> Stream:
    return Stream(device, cuda_stream=0)


def current_stream(device: Any = None) -> Stream:
    index = library.resolve("cuda" if device is None else device)
    return _current.streams.get(index) or default_stream(index)


@contextlib.contextmanager
def stream(wanted: Stream | None) -> Iterator[None]:
    if wanted is None:
        yield
        return
    device, before = library.current_device(), current_stream(wanted.device_index)
    library.use(wanted.device_index)
    _current.streams[wanted.device_index] = wanted
    try:
        yield
    finally:
        _current.streams[wanted.device_index] = before
        library.use(device)


def raw_stream(device: int) -> int:
    found = _current.streams.get(device)
    return 0 if found is None else found.cuda_stream


def is_capturing() -> bool:
    if not library.is_used:
        return False
    status = ctypes.c_int()
    library.call("cudaStreamIsCapturing", raw_stream(library.current_device()), ctypes.byref(status))
    return status.value != 0


def sleep(cycles: int) -> None:
    """Operations that do nothing. Every query of an event finishes one of them."""
    for _ in range(1 + cycles // CYCLES_OF_ONE):
        library.call("emulator_sleep", current_stream().cuda_stream)


def install() -> None:
    cuda = torch.cuda
    cuda.Stream, cuda.Event, cuda.stream = Stream, Event, stream
    cuda.default_stream, cuda.current_stream = default_stream, current_stream
    cuda.is_current_stream_capturing = is_capturing
    cuda._sleep = sleep
    torch._C._cuda_getCurrentRawStream = raw_stream
