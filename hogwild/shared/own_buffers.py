"""A module's own buffers (BatchNorm statistics), and the copy of each worker in shared memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hogwild.errors import UsageError
from hogwild.kernels.modules import ModuleCopies, module_copies

if TYPE_CHECKING:
    from hogwild.shared.world import World

BUFFER = "buffer:"  # before the name of a module's buffer, in the arena


class OwnBuffers:
    """Publishes the buffers of `module` and reads them back, all in one call.

    A module that replaces one of its buffers by another tensor, or adds one, is copied buffer by buffer from then on.
    """

    def __init__(self, world: World, module: nn.Module) -> None:
        self._world, self._module = world, module
        self._is_paired = False
        self._native: ModuleCopies | None = None
        self._copies: dict[int, tuple[int, list[Tensor], list[Tensor]]] = {}  # by rank: see _copy

    def publish(self, rank: int) -> None:
        """Writes the buffers to worker `rank`'s copy. It is called inside an update, so the parent never copies them
        half written. Shared buffers that `recall` has bound need no copy.

        UsageError if the module has made or reshaped a buffer since the world was created: there is no room for it.
        """
        if self._native is not None and self._copy(self._native, rank, out=True):
            return
        for _, tensor, place in self._pairs(rank):
            if place.data_ptr() != tensor.data_ptr():
                place.copy_(tensor.detach())
        self._pair(rank)

    def recall(self, rank: int) -> None:
        """Reads worker `rank`'s copy into the buffers: a replaced worker, or a resumed run, goes on with the statistics
        that were published last, and so does a worker whose gradient was not finite. Shared buffers become the shared
        memory itself, without a copy: what the module writes to them races with the other workers, element by element.

        UsageError as for `publish`.
        """
        if self._native is not None and self._copy(self._native, rank, out=False):
            return
        for name, tensor, place in self._pairs(rank):
            if self._world.is_shared(name):
                tensor.data = place
            else:
                tensor.detach().copy_(place)
        self._pair(rank)

    def published(self, rank: int) -> dict[str, Tensor]:
        """A copy of what worker `rank` published last, in the shapes of the module's buffers."""
        return {name: place.clone() for name, _, place in self._pairs(rank)}

    def _pairs(self, rank: int) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(name, the module's tensor, its place in the arena) of each buffer."""
        for name, tensor in self._module.named_buffers():
            if self._world.shapes.get(BUFFER + name) != tensor.shape:
                raise UsageError(
                    f"the model's buffer {name} has shape {list(tensor.shape)}, not that of the start of the run: "
                    "keep a tensor that appears later or changes its shape in a plain attribute, not in a buffer"
                )
            yield name, tensor, self._world.arena.tensor(BUFFER + name, rank).view(tensor.shape)

    def _pair(self, rank: int) -> None:
        """Has the buffers copied in one call from now on, unless that was done before and they have changed since."""
        self._native = None
        if self._is_paired:
            return
        self._is_paired = True
        pairs = [(tensor, place) for _, tensor, place in self._pairs(rank)]
        if all(tensor.dtype == place.dtype for tensor, place in pairs):
            self._native = module_copies(self._module, [tensor for tensor, _ in pairs])

    def _copy(self, native: ModuleCopies, rank: int, *, out: bool) -> bool:
        """False, and nothing is copied, if the module has other buffers than before."""
        if rank not in self._copies:
            pairs = [(place, tensor) for _, tensor, place in self._pairs(rank)]
            number = native.add([place.data_ptr() for place, _ in pairs])
            if all(place.is_cpu and tensor.is_cpu for place, tensor in pairs):
                pairs = []  # for torch
            apart = [(place, tensor) for place, tensor in pairs if place.data_ptr() != tensor.data_ptr()]
            self._copies[rank] = number, [place for place, _ in apart], [tensor for _, tensor in apart]
        number, places, tensors = self._copies[rank]
        if not places:
            return native.write(number) if out else native.read(number)
        if not native.is_unchanged():
            return False
        with torch.no_grad():
            torch._foreach_copy_(*((places, tensors) if out else (tensors, places)))
        return True
