"""What a run must remember to go on: the algorithm's buffers, the model's own buffers, and where the tickets stand.

A state is taken while the gate is closed and drained, so it is exactly the model after the completed tickets: a
gradient in flight has left no trace in it, and its ticket is listed to be dealt again. The exception are averages of
Full Normalization that all workers share: they may have seen a batch in flight, and then see it once more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import SHARED, Algorithm
from hogwild.drivers.checkpoints.fitting import require_types
from hogwild.drivers.job.batches import Batches
from hogwild.errors import CheckpointError
from hogwild.files.reading import reading
from hogwild.nn.pooling import pooled_buffers
from hogwild.shared.layout import trainable
from hogwild.shared.world import World

OTHER = "configuration and checkpoint do not belong together: take another with --ckpt"
REFRESHED = ("snapshot", "g")  # written before they are read


@dataclass(frozen=True)
class State:
    """A consistent copy. `parameters` by name, of the trained model: the mean of the copies of the algorithm's result.
    `buffers` as flat tensors, one per copy, the result excepted where there is one only; tickets and counters as
    numbers. Copies are of the workers that were not lost, in the order of their ranks.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, list[Tensor]]
    module_buffers: list[dict[str, Tensor]]
    next: int
    again: list[int]
    version: int
    lr_max: float
    pushes: list[int]
    gathered: int = 0  # gradients in the buffer `sum`
    completed: list[int] = field(default_factory=list)  # tickets, by each worker

    @classmethod
    def of(cls, world: World, module: nn.Module, algorithm: Algorithm, lost: Collection[int] = ()) -> State:
        """Copies the state out of the shared memory. The caller has drained the gate (or no worker lives).

        `lost`: workers that died; where they stood still is no part of the mean, nor of a resumed run.
        """
        control, arena, layout = world.control, world.arena, world.layout
        ranks = [rank for rank in range(world.workers) if rank not in lost] or range(world.workers)
        copies = {
            name: [arena.tensor(name, rank).to("cpu", copy=True) for rank in (range(1) if scope is SHARED else ranks)]
            for name, scope in algorithm.keeps().items()
            if name not in REFRESHED
        }
        result = copies[algorithm.result()]
        if len(result) == 1:
            del copies[algorithm.result()]
        mean = sum(result[1:], result[0].double()).div_(len(result)).to(result[0].dtype)
        return cls(
            parameters={name: view.clone() for name, view in zip(layout.names, layout.views(mean), strict=True)},
            buffers=copies,
            module_buffers=[
                {name: value.cpu() for name, value in world.published(module, rank).items()} for rank in ranks
            ],
            next=control.next,
            again=control.outstanding(),
            version=control.version,
            lr_max=control.lr_max,
            pushes=[control.pushes(rank) for rank in ranks],
            gathered=control.gathered,
            completed=[control.completed(rank) for rank in range(world.workers)],
        )

    def plain(self) -> dict[str, Any]:
        """As nested dicts and lists, for a checkpoint."""
        return dict(self.__dict__)

    @classmethod
    @reading("the state in the checkpoint", "one of a run", error=CheckpointError, remedy=OTHER)
    def from_plain(cls, values: Mapping[str, Any]) -> State:
        require_types(dict(values), cls)
        return cls(**values)

    @reading("the state in the checkpoint", "one of this model and algorithm", error=CheckpointError, remedy=OTHER)
    def write_to(self, world: World) -> None:
        """Puts the state into a new world, before any worker lives there.

        With another number of workers, private buffers go to the ranks that still exist, zeros to new ones. Replicas,
        and what belongs to them (corrections, masses, multipliers), mean something only all together: they then all
        begin at the trained model, with zeros for the rest.
        """
        has_replicas, specs = "replica" in world.arena, world.arena.layout.specs
        for view, parameter in zip(world.layout.views(world.arena.tensor("x")), self.parameters.values(), strict=True):
            _copy(view, parameter)
        world.start_models()
        for name, copies in self.buffers.items():
            if has_replicas and specs[name].scope is not SHARED and len(copies) != world.workers:
                continue
            for rank, value in enumerate(copies[: world.workers]):
                _copy(world.arena.tensor(name, rank), value)
        for rank, buffers in enumerate(self.module_buffers[: world.workers]):
            for name, value in buffers.items():
                _copy(world.arena.tensor(f"buffer:{name}", rank), value.reshape(-1))
        control = world.control
        control.version = self.version
        control.gathered = self.gathered
        control.raise_lr_max(self.lr_max)
        for rank, pushes in enumerate(self.pushes[: world.workers]):
            control.restore_pushes(rank, pushes)
        for rank, completed in enumerate(self.completed[: world.workers]):
            control.restore_completed(rank, completed)

    @reading("the state in the checkpoint", "one of this model", error=CheckpointError, remedy=OTHER)
    def load_module(self, module: nn.Module) -> None:
        """Copies the parameters and the pooled BatchNorm statistics into `module`, for evaluation."""
        with torch.no_grad():
            for parameter, value in zip(trainable(module), self.parameters.values(), strict=True):
                _copy(parameter, value)
            pooled = pooled_buffers(module, self.module_buffers)
            for name, buffer in module.named_buffers():
                buffer.copy_(pooled[name])

    def samples(self, order: Batches) -> int:
        """Samples of the completed tickets."""
        waiting = sum(order.samples_before(ticket + 1) - order.samples_before(ticket) for ticket in self.again)
        return order.samples_before(self.next) - waiting


def _copy(target: Tensor, value: Tensor) -> None:
    """target.copy_(value), which would also spread a single number over the whole target."""
    if target.shape != value.shape:
        raise ValueError(f"a tensor {list(value.shape)} where {list(target.shape)} is needed")
    target.copy_(value)
