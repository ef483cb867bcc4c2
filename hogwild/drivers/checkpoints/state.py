"""The state of a run: the algorithm's buffers, the model's own buffers, the tickets, and the statistics so far.

A state is copied while the gate is closed and drained, so it is exactly the model after the completed tickets. A
gradient that a worker is still computing is not in it; its ticket is listed and will be assigned again. The one
exception are averages of Full Normalization that several workers share: they may already include the batch of such a
gradient, and a resumed run then includes it twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Algorithm
from hogwild.buffers import Scope, has_replicas
from hogwild.drivers.checkpoints import statistics
from hogwild.drivers.checkpoints.fitting import require_types
from hogwild.drivers.checkpoints.statistics import WorkerStatistics
from hogwild.drivers.job.batches import Batches
from hogwild.errors import CheckpointError
from hogwild.files.reading import reading
from hogwild.nn.pooling import pooled_buffers
from hogwild.shared.control import Tickets, Versions
from hogwild.shared.layout import ParameterLayout, frozen
from hogwild.shared.own_buffers import BUFFER, OwnBuffers
from hogwild.shared.world import FROZEN, World

OTHER = "configuration and checkpoint do not belong together: take another with --ckpt"


@dataclass(frozen=True)
class State:
    """A consistent copy of a run. `parameters`: of the trained model, by name, tables behind the others; the mean of
    the copies of the algorithm's result buffer. `tables`: the state of the tables' rule and their row versions, by the
    names of their buffers; `table_counts`: what each worker has counted of them. `buffers`: flat tensors, one per copy;
    the result buffer is left out if there is only one copy of it. Tickets and counters are numbers. Copies per worker
    are those of workers that were not lost, in the order of their ranks; `steps` counts the pushes that each of them
    has seen.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, list[Tensor]]
    module_buffers: list[dict[str, Tensor]]
    next: int
    again: list[int]
    version: int
    lr_max: float
    steps: list[int]
    gathered: int = 0  # gradients in the buffer `sum`
    completed: list[int] = field(default_factory=list)  # completed tickets of each worker
    statistics: list[WorkerStatistics] = field(default_factory=list)  # of every worker, lost ones included
    frozen: dict[str, Tensor] = field(default_factory=dict)  # parameters that are not trained, by name
    callbacks: dict[str, Any] = field(default_factory=dict)  # what the callbacks keep, by name
    tables: dict[str, Tensor] = field(default_factory=dict)
    table_counts: list[Tensor] = field(default_factory=list)
    box: dict[str, Any] = field(default_factory=dict)  # what a box of a run of several keeps beside its model

    @classmethod
    def of(cls, world: World, module: nn.Module, algorithm: Algorithm, lost: Collection[int] = ()) -> State:
        """Copies the state out of the shared memory. The caller has drained the gate, or no worker is alive.

        `lost`: workers that died. Their last buffers are left out of the mean and of a resumed run.
        """
        arena, layout, tables = world.arena, world.layout, world.tables
        tickets: Tickets = world.control
        versions: Versions = world.control
        ranks = [rank for rank in range(world.workers) if rank not in lost] or range(world.workers)

        def places(name: str) -> list[Tensor]:
            own = world.buffers[name].scope is not Scope.SHARED
            return [arena.tensor(name, rank) for rank in (ranks if own else range(1))]

        trained = places(algorithm.result())
        buffers = {
            name: [place.to("cpu", copy=True) for place in places(name)]
            for name, buffer in world.buffers.items()
            if buffer.saved and (name != algorithm.result() or len(trained) > 1)
        }
        by_parameter = zip(*map(layout.views, trained), strict=True)
        parameters = {name: _mean(views) for name, views in zip(layout.names, by_parameter, strict=True)}
        parameters |= {name: tables.table(arena, name).to("cpu", copy=True) for name in tables.shapes}
        next = tickets.next  # first: a ticket taken from here on will be taken again, so it is not listed
        return cls(
            parameters=parameters,
            buffers=buffers,
            module_buffers=[
                {name: value.cpu() for name, value in OwnBuffers(world, module).published(rank).items()}
                for rank in ranks
            ],
            next=next,
            again=[ticket for ticket in tickets.outstanding() if ticket < next],
            version=versions.version,
            lr_max=versions.lr_max,
            steps=[versions.steps(rank) for rank in ranks],
            gathered=versions.gathered,
            completed=[tickets.completed(rank) for rank in range(world.workers)],
            statistics=statistics.of(world.control, world.workers),
            frozen=world.frozen(),
            tables={name: tensor.to("cpu", copy=True) for name, tensor in tables.saved(arena).items()},
            table_counts=list(tables.counts(arena).to("cpu", copy=True)) if tables else [],
        )

    def divisor(self, algorithm: Algorithm, layout: ParameterLayout) -> list[Tensor] | None:
        """What an adaptive algorithm divides its steps by, in the shapes of the layout's parameters; None if it is none
        with a q of all workers.
        """
        stage, q = algorithm.adaptive(), self.buffers.get("q")
        if stage is None or q is None or len(q) > 1:
            return None
        return layout.views(stage.divisor(q[0], pushes=self.version))

    def without_tensors(self) -> State:
        """Its numbers and what the callbacks keep, for when its tensors are in a world."""
        return replace(self, parameters={}, buffers={}, module_buffers=[], frozen={}, tables={}, table_counts=[])

    def plain(self) -> dict[str, Any]:
        """Nested dicts and lists, for a checkpoint."""
        return dict(self.__dict__)

    @classmethod
    @reading("the state in the checkpoint", "one of a run", error=CheckpointError, remedy=OTHER)
    def from_plain(cls, values: Mapping[str, Any]) -> State:
        """The state in a checkpoint. In checkpoints of version 0.1.0 `steps` is called `pushes`, and there are no
        statistics: counts and sums of the resumed run then begin at zero.
        """
        found = {"steps" if name == "pushes" else name: value for name, value in values.items()}
        require_types(found, cls)
        return cls(**found)

    @reading("the state in the checkpoint", "one of this model and algorithm", error=CheckpointError, remedy=OTHER)
    def write_to(self, world: World) -> None:
        """Writes the state into a new world, before any worker starts.

        With another number of workers, private buffers go to the ranks that still exist; new ranks start with fresh
        ones. Replicas and the buffers that belong to them (corrections, masses, multipliers) are only valid as a
        complete set, so all of them then start afresh, from the trained model, and their counts at zero. Buffers that
        are not saved start afresh too.
        """
        starts_afresh = has_replicas(world.buffers) and len(self.steps) != world.workers
        layout, tables = world.layout, world.tables
        views = dict(zip(layout.names, layout.views(world.arena.tensor("x")), strict=True))
        views |= {name: tables.table(world.arena, name) for name in tables.shapes}
        for name, view in views.items():
            _copy(view, self.parameters[name])
        for name, tensor in tables.saved(world.arena).items():
            _copy(tensor, self.tables[name])
        for rank, counted in enumerate(self.table_counts):
            place = tables.counts(world.arena)[rank % world.workers, : len(counted)]  # version 0.2.0 has fewer
            place += counted.to(place.device)
        world.start_buffers()
        for name, copies in self.buffers.items():
            own = world.buffers[name].scope is not Scope.SHARED
            if own and starts_afresh:
                continue
            for rank, value in enumerate(copies[: world.workers]):
                _copy(world.arena.tensor(name, rank), value)
        for rank, buffers in enumerate(self.module_buffers[: world.workers]):
            for name, value in buffers.items():
                _copy(world.arena.tensor(BUFFER + name, rank), value.reshape(-1))
        for name, value in self.frozen.items():
            _copy(world.arena.tensor(FROZEN + name), value.reshape(-1))
        tickets: Tickets = world.control
        versions: Versions = world.control
        versions.version = self.version
        versions.gathered = self.gathered
        versions.raise_lr_max(self.lr_max)
        for rank, steps in enumerate([] if starts_afresh else self.steps[: world.workers]):
            versions.restore_steps(rank, steps)
        for rank, completed in enumerate(self.completed[: world.workers]):
            tickets.restore_completed(rank, completed)
        statistics.restore(world.control, world.workers, self.statistics)

    @reading("the state in the checkpoint", "one of this model", error=CheckpointError, remedy=OTHER)
    def load_module(self, module: nn.Module) -> None:
        """Copies the parameters, trained and frozen, and the pooled BatchNorm statistics into `module`, for evaluation.
        Frozen parameters that the checkpoint does not have (`unsaved`) stay as they are. Which ones are trained is what
        the state says: a callback or an evaluation may have frozen all of them in its copy. Parameters without memory
        (`let_go`) get some.
        """
        own = dict(module.named_parameters())
        with torch.no_grad():
            for name, value in self.frozen.items():
                _copy(own[name], value)
            for name, parameter in own.items():
                if name in self.parameters or (parameter.requires_grad and name not in self.frozen):
                    _copy(parameter, self.parameters[name])
            pooled = pooled_buffers(module, self.module_buffers)
            for name, buffer in module.named_buffers():
                buffer.copy_(pooled[name])

    def unsaved(self, module: nn.Module) -> str | None:
        """A line on the frozen parameters of `module` that are not in this state, for checkpoints written before such
        parameters were saved; None if there are none.
        """
        if not (names := frozen(module).keys() - self.frozen.keys()):
            return None
        return (
            f"the checkpoint is older than the saving of frozen parameters: {', '.join(sorted(names)[:3])}"
            f"{', ...' if len(names) > 3 else ''} ({len(names)}) have the values with which the model was built"
        )

    def samples(self, order: Batches | None) -> int:
        """The number of samples of the completed tickets; without `order`, of a loop of its own, as the workers have
        counted them.
        """
        if order is None:
            return int(sum(worker["totals"]["samples"] for worker in self.statistics))
        waiting = sum(order.samples_before(ticket + 1) - order.samples_before(ticket) for ticket in self.again)
        return order.samples_before(self.next) - waiting


def let_go(module: nn.Module) -> None:
    """Gives back the memory of the parameters of a module that waits for the next `State.load_module`. They keep shape,
    dtype and device, read as zeros, and no values can be copied into them. Parameters that do not lie in memory in
    their order keep theirs, and so that layout.
    """
    for parameter in module.parameters():
        if parameter.is_contiguous():
            parameter.data = parameter.new_zeros(()).expand(parameter.shape)


def _mean(copies: Sequence[Tensor]) -> Tensor:
    """A tensor of its own on the CPU, also for one copy."""
    if len(copies) == 1:
        return copies[0].to("cpu", copy=True)
    return sum((copy.cpu() for copy in copies[1:]), copies[0].cpu().double()).div_(len(copies)).to(copies[0].dtype)


def _copy(target: Tensor, value: Tensor) -> None:
    """target.copy_(value), which would also spread a single number over the whole target."""
    if target.shape != value.shape:
        raise ValueError(f"a tensor {list(value.shape)} where {list(target.shape)} is needed")
    if target.untyped_storage().nbytes() < target.nbytes:  # let go
        target.data = value.to(target.device, target.dtype, copy=True)
    else:
        target.copy_(value)
