"""GPU memory that several processes use by CUDA IPC; the process that allocates it must outlive the others."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from hogwild.errors import UsageError
from hogwild.shared.memory import MIB

ALLOCATOR_VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
UNSHARED = {
    "expandable_segments:true": "memory in expandable segments cannot reliably be shared between processes (in "
    "containers it fails)",
    "backend:cudamallocasync": "memory of cudaMallocAsync has no handle with which other processes could map it",
}  # settings of torch's allocator, in lower case


def device_memory(nbytes: int, device: torch.device, what: str) -> Tensor:
    """`nbytes` of zeroed memory on a GPU, [nbytes] uint8, which can be sent to other processes; zeroed when this
    returns.

    Sent by multiprocessing (spawn or forkserver), the tensor has the same memory there. The process that made it must
    live until all others have released it. UsageError if it does not fit, or could not be shared.
    """
    check_allocator()
    torch.cuda.empty_cache()  # memory in torch's cache counts as free
    free, total = torch.cuda.mem_get_info(device)
    if nbytes > free:
        raise UsageError(
            f"needs {_mib(nbytes)} on {device} ({what}), {_mib(free)} of {_mib(total)} are free: use a smaller model, "
            "fewer workers, or another GPU (--master cuda:N)"
        )
    memory = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    torch.cuda.synchronize(device)
    return memory


def check_allocator() -> None:
    """UsageError if torch's allocator takes memory that other processes cannot map, or often cannot."""
    for name in ALLOCATOR_VARIABLES:
        settings = os.environ.get(name, "").replace(" ", "").lower()
        for setting, fault in UNSHARED.items():
            if setting in settings:
                raise UsageError(f"{name}={os.environ[name]}: {fault}; take {setting.partition(':')[0]} out of it")


def identity(device: torch.device) -> str | None:
    """The UUID of a GPU, which does not depend on its number; None on the CPU, or if torch cannot report it."""
    if device.type != "cuda":
        return None
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else str(uuid)


def check_identity(expected: str | None, device: torch.device) -> None:
    """UsageError if `device` is another GPU here than in the process that allocated the memory."""
    found = identity(device)
    if None not in (expected, found) and found != expected:
        raise UsageError(
            f"{device} is GPU {found} here and GPU {expected} in the parent: the workers see other GPUs, or in another "
            f"order (CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')!r}); set it before Python "
            "starts, and nowhere else"
        )


def _mib(nbytes: int) -> str:
    return f"{nbytes / MIB:,.0f} MiB"
