"""Memory on chosen GPUs (csrc/placed_memory.h), the driver's facts about the GPUs, and tensors over given addresses."""

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
    """The abilities of one GPU. GPUs are numbered by the driver, in the same order as in torch."""

    reaches: tuple[bool, ...]  # whether it can access the memory of each GPU
    atomics: tuple[bool, ...]  # whether it can add atomically to the memory of each GPU
    host_atomics: bool  # whether it can add atomically to the host's memory
    host_pointer: bool  # whether it sees pinned host memory at the host's addresses
    placing: bool  # whether it can hold memory of several processes at chosen addresses


def gpus(driver: str = DRIVER) -> list[Gpu]:
    """The facts of every visible GPU. RuntimeError, in one line, if there is no driver."""
    return [Gpu(tuple(facts.pop("reaches")), tuple(facts.pop("atomics")), **facts) for facts in _C.gpus(driver)]


def tensor_at(address: int, nbytes: int, device: torch.device, owner: object) -> Tensor:
    """A tensor [nbytes] uint8 over the memory at an address. Its device is `device`, wherever the memory is: kernels
    run there.

    The device must be able to access the memory. The tensor and its views keep `owner` alive.
    """
    return from_dlpack(_C.as_dlpack(address, nbytes, device.index if device.type == "cuda" else -1, owner))
