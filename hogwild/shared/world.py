"""The shared state of one run: the control block, the algorithm's buffers, the model's tables and its parameters that
are not trained, once, and the model's own buffers per worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hogwild.buffers import Buffer, Scope, has_locks
from hogwild.errors import UsageError
from hogwild.kernels.control import LOCK_BYTES, STRIPE, Control
from hogwild.shared.arena import Arena
from hogwild.shared.groups import Groups
from hogwild.shared.layout import BufferSpec, ParameterLayout, frozen, trainable
from hogwild.shared.memory import SharedMemory
from hogwild.shared.own_buffers import BUFFER, OwnBuffers
from hogwild.shared.placed_arena import PlacedArena
from hogwild.shared.placement import Placement
from hogwild.shared.table_memory import Tables, Training

MAX_STRIPES = 4096
TRAINED, FROZEN = "trained:", "frozen:"  # before the names of what a model consists of, with BUFFER


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
    shapes: Mapping[str, tuple[int, ...]]  # of the model: trained:<name>, frozen:<name>, buffer:<name>
    groups: Groups = field(default_factory=Groups)
    tables: Tables = field(default_factory=lambda: Tables({}, Training()))
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
        groups: Groups | None = None,
        training: Training | None = None,
    ) -> World:
        """Allocates the world of a model and writes the model's parameters into the master x [n] and its tables.

        `buffers`: the algorithm's, by their declarations. The model's own buffers (BatchNorm statistics) get a copy per
        worker, those named in `shared_buffers` one for all: `buffer:<name>`. Parameters that are not trained lie there
        once, for all workers, in their own dtype: `frozen:<name>`. `groups`: what lr and weight decay are in each.
        `training`: that of the model's tables.
        """
        layout, tables = ParameterLayout.of(module, dtype), Tables.of(module, training)
        specs = [_spec(name, buffer, layout) for name, buffer in buffers.items()]
        for name, kept in frozen(module).items():
            specs.append(BufferSpec(FROZEN + name, Scope.SHARED, kept.numel(), kept.dtype))
        for name, tensor in module.named_buffers():
            scope = Scope.SHARED if name in shared_buffers else Scope.WORKER
            specs.append(BufferSpec(BUFFER + name, scope, tensor.numel(), tensor.dtype))
        specs += tables.specs(workers, dtype)
        place = PlacedArena.place if isinstance(device, Placement) else Arena.create
        arena: Arena = place(specs, workers, device)  # type: ignore[arg-type]
        stripes = min(-(-max(layout.n, tables.elements) // STRIPE), MAX_STRIPES)
        lines = max(workers, lines)
        locks = _lock_count(buffers, stripes, workers)
        memory = SharedMemory(Control.bytes(lines, locks), "control block")
        shapes, groups = _shapes(module), groups or Groups()
        world = cls(layout, arena, buffers, memory, workers, lines, stripes, shapes, groups, tables)
        world._control = Control(memory.address, lines, locks, create=True)
        world._control.parameters = max(layout.parameters, 1)
        for view, parameter in zip(layout.views(arena.tensor("x")), trainable(module), strict=True):
            view.copy_(parameter.detach())
        for name, parameter in frozen(module).items():
            arena.tensor(FROZEN + name).copy_(parameter.detach().reshape(-1))
        tables.start(arena, module)
        world.start_buffers()
        own = OwnBuffers(world, module)
        for rank in range(workers):
            own.publish(rank)
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
                elif not isinstance(buffer.starts, str):
                    tensor.fill_(buffer.starts)

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

    def adopt(self, module: nn.Module, rank: int) -> None:
        """Makes a model that was built in this process that of worker `rank`; from its build only the structure counts.

        The tables and the parameters that are not trained become the shared memory itself, without a copy: all workers
        see what one writes there, element by element. The module's own buffers are read as by OwnBuffers.recall. The
        other trained parameters are bound by ParameterLayout.bind, to the buffer that the algorithm names.

        UsageError if its parameters or buffers are not those of the model of which this world was made.
        """
        built = _shapes(module)
        for name in {**self.shapes, **built}:
            if built.get(name) != self.shapes.get(name):
                raise UsageError(
                    f"the model built in worker {rank} differs from the one of the run: {name} is "
                    f"{_shape(built.get(name))}, and {_shape(self.shapes.get(name))} in the run; the model function "
                    "must make the same parameters and buffers, frozen or not, in every process"
                )
        for name, parameter in frozen(module).items():
            parameter.data = self.arena.tensor(FROZEN + name).view(parameter.shape)
        self.tables.bind(self.arena, module)
        OwnBuffers(self, module).recall(rank)

    @property
    def parameters(self) -> int:
        """Number of trained parameters, those of tables included."""
        return self.layout.parameters + self.tables.elements

    def frozen(self) -> dict[str, Tensor]:
        """A copy of the parameters that are not trained, in their shapes, on the CPU."""
        return {
            name.removeprefix(FROZEN): self.arena.tensor(name).to("cpu", copy=True).view(shape)
            for name, shape in self.shapes.items()
            if name.startswith(FROZEN)
        }

    def is_shared(self, name: str) -> bool:
        """Whether all workers have one and the same of the module's buffer `name`."""
        return self.arena.layout.specs[BUFFER + name].scope is Scope.SHARED


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Of all that a model consists of: trained:<name>, frozen:<name>, buffer:<name>."""
    return {
        (TRAINED if parameter.requires_grad else FROZEN) + name: tuple(parameter.shape)
        for name, parameter in module.named_parameters()
    } | {BUFFER + name: tuple(tensor.shape) for name, tensor in module.named_buffers()}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(list(shape))


def _spec(name: str, buffer: Buffer, layout: ParameterLayout) -> BufferSpec:
    dtype = layout.dtype if buffer.dtype is None else getattr(torch, buffer.dtype)
    return BufferSpec(name, buffer.scope, buffer.elements(layout.n, len(layout.names)), dtype)


def _lock_count(buffers: Mapping[str, Buffer], stripes: int, workers: int) -> int:
    """The number of locks: `stripes` for the shared buffers, and for each worker if others average with its buffers."""
    return stripes * (1 + workers if has_locks(buffers) else 1)
