"""The training set in shared memory: all workers of a device read one copy of its tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from hogwild.shared.arena import Arena, share_tensors
from hogwild.tasks.data import Split


class SharedSplit:
    """A split's tensors in shared memory, once for all workers. `stand_in` is cheap to send to a worker; there
    `restore` attaches it to the shared tensors.

    Workers on a GPU share a copy on it, and make and augment batches there, if the copy takes at most half of the free
    memory; else the copy stays in the host's memory. `devices`: the devices of the workers.
    """

    def __init__(self, split: Split, *devices: torch.device) -> None:
        tensors = split.tensors()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.stand_in = split
        self._places = {device: _place(tensors, device) for device in devices}
        self._arenas: dict[torch.device, Arena] = {}
        for place in self._places.values() if tensors else ():
            if place not in self._arenas:
                self._arenas[place], self.shapes = share_tensors(tensors, place)
        if tensors:
            self.stand_in = split.with_tensors(
                {name: torch.zeros(1, dtype=tensor.dtype).expand(tensor.shape) for name, tensor in tensors.items()}
            )

    def arena(self, device: torch.device) -> Arena | None:
        """The arena that a worker on a device reads; None if the split has no tensors."""
        return self._arenas.get(self._places[device])


def _place(tensors: Mapping[str, torch.Tensor], device: torch.device) -> torch.device:
    if device.type == "cuda" and 2 * sum(t.nbytes for t in tensors.values()) > torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device


def restore(split: Split, arena: Arena | None, shapes: dict[str, tuple[int, ...]]) -> Split:
    """The split over the shared tensors of `arena`."""
    if arena is None:
        return split
    return split.with_tensors({name: arena.tensor(name).view(shape) for name, shape in shapes.items()})
