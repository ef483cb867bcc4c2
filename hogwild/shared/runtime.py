"""The CUDA runtime calls that placed memory needs, made through torch."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from hogwild.errors import UsageError
from hogwild.kernels.placed import tensor_at
from hogwild.shared.memory import MIB, SharedMemory

PORTABLE_MAPPED = 3  # cudaHostRegisterPortable | cudaHostRegisterMapped


def use(gpu: int) -> None:
    """Makes that GPU the default of this process."""
    torch.cuda.set_device(gpu)
    torch.cuda.synchronize(gpu)  # creates the context, which older runtimes otherwise create later; mapping may need it


def room(gpu: int) -> tuple[int, int]:
    """(free bytes, all bytes)"""
    return torch.cuda.mem_get_info(gpu)


def wait(gpu: int) -> None:
    """Waits until the GPU has finished all work of this process."""
    torch.cuda.synchronize(gpu)


def view(address: int, nbytes: int, gpu: int, owner: object) -> Tensor:
    """A tensor [nbytes] uint8 of `gpu`, wherever its memory is."""
    return tensor_at(address, nbytes, torch.device("cuda", gpu), owner)


class Pinned:
    """Pins host memory, so that every GPU sees it at the host's addresses, as long as this object exists. UsageError if
    CUDA refuses.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        error = int(torch.cuda.cudart().cudaHostRegister(memory.address, memory.nbytes, PORTABLE_MAPPED))  # type: ignore[no-untyped-call]
        self._is_pinned = error == 0
        if error:
            raise UsageError(
                f"cannot pin {memory.nbytes / MIB:,.0f} MiB of host memory for the GPUs (CUDA error {error}): free "
                "some, raise the memory limit of the container, or use a master on a GPU"
            )

    def __del__(self) -> None:
        if getattr(self, "_is_pinned", False):
            with contextlib.suppress(Exception):  # at interpreter exit the runtime may be unloaded
                torch.cuda.cudart().cudaHostUnregister(self.memory.address)  # type: ignore[no-untyped-call]
