"""The functions of torch.cuda, and other functions that depend on CUDA in torch."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch

from torch_cuda import copies, library

MULTIPROCESSORS, CACHE_BYTES = 16, 38  # arguments of cudaDeviceGetAttribute
CAPABILITY = (9, 0)


def index_of(device: Any = None) -> int:
    return library.resolve("cuda" if device is None else device)


@contextlib.contextmanager
def device(wanted: Any) -> Iterator[None]:
    before = library.current_device()
    library.use(index_of(wanted))
    try:
        yield
    finally:
        library.use(before)


def synchronize(of: Any = None) -> None:
    index_of(of)
    library.call("cudaDeviceSynchronize")


def mem_get_info(of: Any = None) -> tuple[int, int]:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    with device(of):
        library.call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


def get_device_properties(of: Any = None) -> SimpleNamespace:
    index = index_of(of)
    return SimpleNamespace(
        name="emulated",
        uuid=f"emulated-{index}",
        total_memory=mem_get_info(index)[1],
        multi_processor_count=library.number_of("cudaDeviceGetAttribute", MULTIPROCESSORS, index),
        L2_cache_size=library.number_of("cudaDeviceGetAttribute", CACHE_BYTES, index),
        major=CAPABILITY[0],
        minor=CAPABILITY[1],
    )


def set_sync_debug_mode(mode: str) -> None:
    """With `error`, reading a value and blocking copies raise, as in torch."""
    copies.sync_debug_mode = mode


class Autocast(torch.autocast):
    """Autocast by the CPU's rules. Its lists of operations differ slightly from CUDA's."""

    def __init__(self, device_type: str, dtype: torch.dtype | None = None, *args: Any, **kwargs: Any) -> None:
        if device_type == "cuda":
            device_type, dtype = "cpu", dtype or torch.float16
        super().__init__(device_type, dtype, *args, **kwargs)


def cudart() -> SimpleNamespace:
    names = ("cudaHostRegister", "cudaHostUnregister")
    return SimpleNamespace(**{name: lambda *args, name=name: library.ask(name, *args) for name in names})


def as_it_is(function: Any = None, **_: Any) -> Any:
    """torch.compile without effect, because the emulation cannot intercept compiled functions."""
    return as_it_is if function is None else function


def init() -> None:
    library.use(library.current_device())


def install() -> None:
    torch.version.cuda = "13.0 (emulated)"
    torch.compile = as_it_is
    torch.autocast = torch.amp.autocast = torch.amp.autocast_mode.autocast = Autocast
    functions = {
        "is_available": lambda: library.device_count() > 0,
        "is_initialized": lambda: library.is_used,
        "is_bf16_supported": lambda including_emulation=True: True,
        "init": init,
        "_lazy_init": init,
        "device_count": library.device_count,
        "current_device": library.current_device,
        "set_device": lambda wanted: library.use(index_of(wanted)),
        "device": device,
        "synchronize": synchronize,
        "mem_get_info": mem_get_info,
        "empty_cache": lambda: None,
        "ipc_collect": lambda: None,
        "get_device_properties": get_device_properties,
        "get_device_name": lambda of=None: get_device_properties(of).name,
        "get_device_capability": lambda of=None: CAPABILITY,
        "can_device_access_peer": lambda one, other: index_of(one) != index_of(other),
        "set_sync_debug_mode": set_sync_debug_mode,
        "cudart": cudart,
    }
    for name, function in functions.items():
        setattr(torch.cuda, name, function)
    torch.cuda.profiler.start = torch.cuda.profiler.stop = lambda: None
