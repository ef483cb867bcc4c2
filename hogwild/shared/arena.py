"""An arena: named, 128-byte aligned buffers in one block of memory that all workers map.

On the CPU the memory is a memfd; on a GPU it is one CUDA allocation, shared by CUDA IPC. For several GPUs, and for GPUs
with a master on the host, there is PlacedArena, with the same interface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hogwild.buffers import Scope
from hogwild.shared.device_memory import device_memory
from hogwild.shared.layout import ArenaLayout, BufferSpec
from hogwild.shared.memory import SharedMemory


class Arena:
    """Buffers by name. `create` allocates them, zeroed. An arena that is sent to another process uses the same memory
    there.

    A CUDA arena must outlive its users: the process that created it keeps it until all other processes have ended.
    """

    def __init__(self, layout: ArenaLayout, memory: SharedMemory | Tensor) -> None:
        self.layout = layout
        self.memory = memory

    @classmethod
    def create(cls, specs: Sequence[BufferSpec], workers: int, device: torch.device | str = "cpu") -> Arena:
        """Allocates all buffers, zeroed. Raises UsageError when they do not fit."""
        layout = ArenaLayout.of(specs, workers)
        if torch.device(device).type == "cpu":
            return cls(layout, SharedMemory(layout.nbytes, layout.describe()))
        return cls(layout, device_memory(layout.nbytes, torch.device(device), layout.describe()))

    @property
    def device(self) -> torch.device:
        return self._bytes.device

    def enter(self, rank: int | None) -> torch.device:  # noqa: ARG002
        """Prepares this process for worker `rank`; returns the device on which it computes."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        return self.device

    def device_of(self, rank: int) -> torch.device:  # noqa: ARG002
        """Where worker `rank` computes."""
        return self.device

    @property
    def facts(self) -> dict[str, object]:
        """The devices of the workers and of the master, for the summary of a run."""
        return {"device": str(self.device)}

    @property
    def _bytes(self) -> Tensor:
        return self.memory.bytes if isinstance(self.memory, SharedMemory) else self.memory

    def tensor(self, name: str, rank: int | None = None) -> Tensor:
        """The buffer `name` `[numel]` (of worker `rank`), as a view: writes are seen by every process."""
        offset, spec = self.layout.position(name, rank)
        itemsize = torch.empty((), dtype=spec.dtype).element_size()
        return self._bytes[offset : offset + spec.numel * itemsize].view(spec.dtype)

    def __contains__(self, name: str) -> bool:
        return name in self.layout.specs


def share_tensors(
    tensors: Mapping[str, Tensor], device: torch.device | str = "cpu"
) -> tuple[Arena, dict[str, tuple[int, ...]]]:
    """Copies read-only tensors (a data set) into an arena of their own on `device`; returns it with their shapes."""
    specs = [BufferSpec(name, Scope.SHARED, tensor.numel(), tensor.dtype) for name, tensor in tensors.items()]
    arena = Arena.create(specs, workers=1, device=device)
    for name, tensor in tensors.items():
        arena.tensor(name).copy_(tensor.reshape(-1))
    return arena, {name: tuple(tensor.shape) for name, tensor in tensors.items()}
