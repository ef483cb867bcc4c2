"""Memory on GPUs of our choice (csrc/placed_memory.h), what the driver says about them, and memory as a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from hogwild import _C
from hogwild._C import PlacedMemory as PlacedMemory
from hogwild._C import granularity as granularity

DRIVER = "libcuda.so.1"


@dataclass(frozen=True)
class Gpu:
    """What one GPU can do, as the driver counts them: as torch does."""

    reaches: tuple[bool, ...]  # the memory of each GPU
    atomics: tuple[bool, ...]  # adds in the memory of each GPU, in one operation
    host_atomics: bool  # adds in the host's memory, in one operation
    host_pointer: bool  # sees pinned host memory at the host's addresses
    placing: bool  # can hold memory for several processes at addresses of our choice


def gpus(driver: str = DRIVER) -> list[Gpu]:
    """Every visible GPU. RuntimeError, in one line, where there is no driver."""
    return [Gpu(tuple(facts.pop("reaches")), tuple(facts.pop("atomics")), **facts) for facts in _C.gpus(driver)]


def tensor_at(address: int, nbytes: int, device: torch.device, owner: object) -> Tensor:
    """[nbytes] uint8 at an address, as a tensor of `device`, wherever the memory lies: kernels run on that device.

    The device must be able to work on the memory. `owner` lives as long as the tensor and its views.
    """
    return from_dlpack(_C.as_dlpack(address, nbytes, device.index if device.type == "cuda" else -1, owner))
