"""The shared state of one run: the control block, the algorithm's buffers, and the model's own buffers per worker."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hogwild.buffers import Buffer, Scope, has_locks
from hogwild.errors import UsageError
from hogwild.kernels.control import LOCK_BYTES, STRIPE, Control
from hogwild.shared.arena import Arena
from hogwild.shared.layout import BufferSpec, ParameterLayout
from hogwild.shared.memory import SharedMemory
from hogwild.shared.placed_arena import PlacedArena
from hogwild.shared.placement import Placement

MAX_STRIPES = 4096


@dataclass
class World:
    """The memory that every process of a run maps. It can be sent to a worker; each process makes its own `control`
    over the same block.
    """

    layout: ParameterLayout
    arena: Arena
    buffers: Mapping[str, Buffer]  # the algorithm's
    control_memory: SharedMemory
    workers: int
    lines: int  # of the control block: one per worker, or more if a resumed run has more tickets to assign again
    stripes: int
    _control: Control | None = field(default=None, repr=False)

    @classmethod
    def create(
        cls,
        module: nn.Module,
        buffers: Mapping[str, Buffer],
        workers: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | Placement = "cpu",
        lines: int = 0,
        shared_buffers: Collection[str] = (),
    ) -> World:
        """Allocates the world of a model and writes the model's parameters into the master x [n].

        `buffers`: the algorithm's, by their declarations. The model's own buffers (BatchNorm statistics) get a copy per
        worker, those named in `shared_buffers` one for all: `buffer:<name>`.
        """
        layout = ParameterLayout.of(module, dtype)
        specs = [_spec(name, buffer, layout) for name, buffer in buffers.items()]
        for name, tensor in module.named_buffers():
            scope = Scope.SHARED if name in shared_buffers else Scope.WORKER
            specs.append(BufferSpec(f"buffer:{name}", scope, tensor.numel(), tensor.dtype))
        place = PlacedArena.place if isinstance(device, Placement) else Arena.create
        arena: Arena = place(specs, workers, device)  # type: ignore[arg-type]
        stripes = min(-(-layout.n // STRIPE), MAX_STRIPES)
        lines = max(workers, lines)
        locks = _lock_count(buffers, stripes, workers)
        memory = SharedMemory(Control.bytes(lines, locks), "control block")
        world = cls(layout, arena, buffers, memory, workers, lines, stripes)
        world._control = Control(memory.address, lines, locks, create=True)
        parameters = [p.detach() for p in module.parameters() if p.requires_grad]
        for view, parameter in zip(layout.views(arena.tensor("x")), parameters, strict=True):
            view.copy_(parameter)
        world.start_buffers()
        for rank in range(workers):
            world.publish(module, rank)
        return world

    def start_buffers(self) -> None:
        """Fills the zeroed buffers of a new world with their start values, from the current x."""
        for name, buffer in self.buffers.items():
            for rank in range(1 if buffer.scope is Scope.SHARED else self.workers):
                tensor = self.arena.tensor(name, rank)
                if buffer.starts == "x":
                    tensor.copy_(self.arena.tensor("x"))
                elif buffer.starts == "one":
                    tensor[0] = 1.0

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_control": None}

    @property
    def control(self) -> Control:
        if self._control is None:
            locks = _lock_count(self.buffers, self.stripes, self.workers)
            self._control = Control(self.control_memory.address, self.lines, locks, create=False)
        return self._control

    def locks(self, rank: int | None = None) -> int:
        """The address in this process of the `stripes` locks of the shared buffers, or of worker `rank`'s own buffers.

        IndexError if there is no such worker, or the algorithm declares no buffer with locks.
        """
        if rank is None:
            return self.control.stripe_locks
        if not has_locks(self.buffers) or not 0 <= rank < self.workers:
            raise IndexError(
                f"no locks of worker {rank} of {self.workers}: does the algorithm declare a buffer with locks=True?"
            )
        return self.control.stripe_locks + LOCK_BYTES * self.stripes * (1 + rank)

    def publish(self, module: nn.Module, rank: int) -> None:
        """Writes the module's own buffers to worker `rank`'s copy. It is called inside an update, so the parent never
        copies them half written. Shared buffers that `recall` has bound need no copy.

        UsageError if the module has made or reshaped a buffer since the world was created: there is no room for it.
        """
        for name, tensor in module.named_buffers():
            spec = self.arena.layout.specs.get(f"buffer:{name}")
            if spec is None or spec.numel != tensor.numel():
                raise UsageError(
                    f"the model's buffer {name} has shape {list(tensor.shape)}, not that of the start of the run: "
                    "keep a tensor that appears later or changes its shape in a plain attribute, not in a buffer"
                )
            place = self.arena.tensor(spec.name, rank)
            if place.data_ptr() != tensor.data_ptr():
                place.copy_(tensor.detach().reshape(-1))

    def recall(self, module: nn.Module, rank: int) -> None:
        """Reads worker `rank`'s copy into the module's own buffers: a replacement worker, or a resumed run, continues
        with the statistics that were published last. Shared buffers are bound to the shared memory, without a copy: the
        module's writes to them race with those of other workers, element by element.
        """
        for name, buffer in module.named_buffers():
            place = self.arena.tensor(f"buffer:{name}", rank).view(buffer.shape)
            if self.arena.layout.specs[f"buffer:{name}"].scope is Scope.SHARED:
                buffer.data = place
            else:
                buffer.copy_(place)

    def published(self, module: nn.Module, rank: int) -> dict[str, Tensor]:
        """A copy of the buffers that worker `rank` published last, in the shapes of the module's buffers."""
        return {
            name: self.arena.tensor(f"buffer:{name}", rank).clone().view(tensor.shape)
            for name, tensor in module.named_buffers()
        }


def _spec(name: str, buffer: Buffer, layout: ParameterLayout) -> BufferSpec:
    dtype = layout.dtype if buffer.dtype is None else getattr(torch, buffer.dtype)
    return BufferSpec(name, buffer.scope, buffer.elements(layout.n, len(layout.names)), dtype)


def _lock_count(buffers: Mapping[str, Buffer], stripes: int, workers: int) -> int:
    """The number of locks: `stripes` for the shared buffers, and for each worker if others average with its buffers."""
    return stripes * (1 + workers if has_locks(buffers) else 1)
