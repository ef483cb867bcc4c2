"""The emulated runtime through ctypes, and the device of a tensor's memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

HOST, PINNED, ELSEWHERE = -1, 8, -2  # in addition to the numbers of devices; ELSEWHERE: meta and other kinds of device

_library = ctypes.CDLL(os.environ["HOGWILD_EMULATOR"])
_library.cudaGetErrorString.restype = ctypes.c_char_p
_library.emulator_import.restype = _library.emulator_exchange.restype = ctypes.c_void_p
_device_of = _library.emulator_device_of
_device_of.argtypes = [ctypes.c_void_p]
_enter, _leave = _library.emulator_enter, _library.emulator_leave
finish = _library.emulator_finish

_is_on_host = torch._C.TensorBase.is_cpu.__get__

is_used = False  # whether this process has used a device


def ask(name: str, *arguments: Any) -> Any:
    """Call a function of the library and return its result. Integers are passed as wide as pointers."""
    return getattr(_library, name)(*(ctypes.c_ssize_t(a) if isinstance(a, int) else a for a in arguments))


def call(name: str, *arguments: Any) -> None:
    """Raises RuntimeError with torch's message if the runtime returns an error."""
    if error := ask(name, *arguments):
        raise RuntimeError(f"CUDA error: {_library.cudaGetErrorString(error).decode()}")


def number_of(name: str, *arguments: Any) -> int:
    """The int that a function of the runtime writes to its first argument."""
    value = ctypes.c_int()
    call(name, ctypes.byref(value), *arguments)
    return value.value


def handle_of(name: str, *arguments: Any) -> int:
    """The pointer that a function of the runtime creates and writes to its first argument."""
    handle = ctypes.c_void_p()
    call(name, ctypes.byref(handle), *arguments)
    return handle.value or 0


def device_count() -> int:
    return number_of("cudaGetDeviceCount")


def current_device() -> int:
    return number_of("cudaGetDevice")


def use(device: int) -> None:
    global is_used
    is_used = True
    call("cudaSetDevice", device)


def resolve(device: Any) -> int:
    """The number of a device in any notation, HOST or ELSEWHERE."""
    if not isinstance(device, int):
        device = torch.device(device)
        if device.type != "cuda":
            return HOST if device.type == "cpu" else ELSEWHERE
        device = current_device() if device.index is None else device.index
    if device >= device_count():
        raise RuntimeError("CUDA error: invalid device ordinal")
    return device


def place(tensor: Tensor) -> int:
    """The device of a tensor's memory, HOST or ELSEWHERE. Call it with torch functions disabled."""
    if not _is_on_host(tensor):
        return ELSEWHERE
    if tensor.layout is torch.sparse_coo:
        tensor = tensor._values()
    elif tensor.layout is not torch.strided:
        return HOST  # other sparse tensors on a GPU are not emulated
    address = tensor.data_ptr()
    if address == 0:  # a tensor without elements has no address
        return getattr(tensor, "_place", HOST)
    return _device_of(address)


def name(device: int) -> torch.device:
    return torch.device("cuda", device) if device >= 0 else torch.device("cpu")


@contextlib.contextmanager
def inside(where: int) -> Iterator[None]:
    """Within this context, torch allocates memory of this device."""
    global is_used
    is_used = is_used or 0 <= where < PINNED
    _enter(where)
    try:
        yield
    finally:
        _leave()
