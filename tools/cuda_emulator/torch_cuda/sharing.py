"""Tensors over foreign memory: of a DLPack capsule, or of another process."""

from __future__ import annotations

import ctypes
import os
import weakref
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
import torch.multiprocessing  # registers the reducers that are replaced here
import torch.utils.dlpack
from torch import Tensor

from torch_cuda import library

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype, _capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
EXCHANGE = b"dlpack_exchange_api"
_from_dlpack, _reducers = torch.utils.dlpack.from_dlpack, dict(ForkingPickler._extra_reducers)


def from_dlpack(capsule: Any) -> Tensor:
    if not hasattr(capsule, "__dlpack__"):
        library.ask("emulator_adopt", _pointer_of(capsule, b"dltensor"))
    return _from_dlpack(capsule)


def reduce(tensor: Tensor) -> tuple[Any, ...]:
    """The location of the memory for another process, as for CUDA IPC. This process must outlive its use."""
    with torch._C.DisableTorchFunction():
        place = library.place(tensor)
        if place < 0:
            return _reducers[type(tensor)](tensor)
        descriptor, offset, nbytes = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_size_t()
        facts = map(ctypes.byref, (descriptor, offset, nbytes))
        if library.ask("emulator_export", tensor.data_ptr(), *facts):
            raise RuntimeError("Attempted to send CUDA tensor received from another process; this is not supported")
        memory = os.getpid(), descriptor.value, offset.value, nbytes.value, place
        make = tensor.dtype, tensor.shape, tensor.stride(), tensor.requires_grad
    import torch_cuda

    return torch_cuda.rebuild, (type(tensor), memory, make)


def rebuild(kind: type, memory: tuple[int, ...], make: tuple[Any, ...]) -> Tensor:
    dtype, shape, stride, requires_grad = make
    address = library.ask("emulator_import", *memory)
    if not address:
        raise RuntimeError(f"CUDA error: process {memory[0]} holds no such memory of a device any more")
    mapped = (ctypes.c_char * memory[3]).from_address(address)
    weakref.finalize(mapped, _forget, address).atexit = False
    with torch._C.DisableTorchFunction():
        tensor = torch.frombuffer(mapped, dtype=torch.uint8)
        tensor = tensor[: tensor.numel() // dtype.itemsize * dtype.itemsize].view(dtype).as_strided(shape, stride)
        return kind(tensor, requires_grad) if kind is torch.nn.Parameter else tensor.requires_grad_(requires_grad)


def _forget(address: int) -> None:
    library.finish()
    library.ask("emulator_forget", address)


def install() -> None:
    torch.utils.dlpack.from_dlpack = torch.from_dlpack = from_dlpack
    if (offered := getattr(Tensor, "__dlpack_c_exchange_api__", None)) is not None:  # since torch 2.10
        functions = library.ask("emulator_exchange", _pointer_of(offered, EXCHANGE))
        Tensor.__dlpack_c_exchange_api__ = _capsule(functions, EXCHANGE, None)
    for kind in (Tensor, torch.nn.Parameter):
        ForkingPickler.register(kind, reduce)
