"""Runs the workers of an algorithm in one process, in an order chosen by the test, with real views and kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from hogwild.algorithms import REGISTRY, Algorithm
from hogwild.algorithms.base import Barrier, Gradient, Update
from hogwild.buffers import Scope
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels.control import Phase
from hogwild.rules import Access, Guard
from hogwild.shared.world import World

GradientFn = Callable[[Tensor, int], list[Tensor]]


class Point(nn.Module):
    """A model that consists of its parameters only."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(values.clone())


class Team:
    """N workers on one world. `turn(rank)` sends the worker its requested gradient and runs it up to its next request.
    A worker that waits for an update has no turn.

    `gradient(at, rank)` is computed at the request, as in a real worker: at the snapshot, not at the later master.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        module: nn.Module,
        workers: int,
        gradient: GradientFn,
        lr: float,
        weight_decay: float = 0.0,
        access: Access = Access.RACING,
        dtype: torch.dtype = torch.float64,
        clip: float | None = None,
        guard: Guard = Guard.PUSH,
    ) -> None:
        self.world = World.create(module, algorithm.keeps(), workers, dtype=dtype)
        self.algorithm = algorithm
        self.gradient = gradient
        self.views = []
        self.steps = []
        self.answers: list[list[Tensor] | None] = [None] * workers
        self.waiting: set[int] = set()
        self.gone: set[int] = set()
        for rank in range(workers):
            view = WorkerView(
                self.world,
                rank,
                algorithm.keeps(),
                access=access,
                guard=guard,
                weight_decay=weight_decay,
                clip=algorithm.clip if clip is None else clip,
                barriers_per_round=algorithm.barriers_per_round,
            )
            view.lr = lr
            self.world.control.join(rank, algorithm.barriers_per_round, 1.0)
            self.views.append(view)
            self.steps.append(algorithm.worker(view))
            self._ask(rank, next(self.steps[rank]))

    @property
    def x(self) -> list[Tensor]:
        """The trained model."""
        name = self.algorithm.result()
        ranks = [None] if self.algorithm.keeps()[name].scope is Scope.SHARED else range(len(self.views))
        return self.world.layout.views(sum(self.world.arena.tensor(name, rank) for rank in ranks) / len(ranks))

    def buffer(self, name: str, rank: int | None = None) -> Tensor:
        return self.world.arena.tensor(name, rank).clone()

    def turn(self, rank: int) -> None:
        if rank not in self.waiting:
            self._ask(rank, self.steps[rank].send(self.answers[rank]))
        for other in sorted(self.waiting):
            if not self.world.control.awaits_update(other):
                self.waiting.discard(other)
                self._ask(other, self.steps[other].send(None))

    def turns(self, order: Iterable[int]) -> None:
        for rank in order:
            self.turn(rank)

    def round(self) -> None:
        """One round of a synchronous algorithm: all workers pass barriers until they request gradients."""
        pending = [rank for rank in range(len(self.steps)) if rank not in self.gone]
        requests = {rank: self.steps[rank].send(self.answers[rank]) for rank in pending}
        while all(isinstance(request, Barrier) for request in requests.values()):
            control = self.world.control
            for rank, request in requests.items():
                if request.arrives:
                    control.arrive(rank)
            generations = {control.arrived(rank) for rank in requests}
            assert len(generations) == 1
            for rank, request in requests.items():
                if request.waits:
                    self.views[rank].rounds.generation = max(generations)
            requests = {rank: self.steps[rank].send(None) for rank in requests}
        for rank, request in requests.items():
            self._ask(rank, request)

    def kill(self, rank: int) -> None:
        """The worker dies between two turns, or between two rounds."""
        self.world.control.set_phase(rank, Phase.GRADIENT)
        assert self.world.control.mark_dead(rank, 1.0)
        self.gone.add(rank)

    def replace(self, rank: int) -> None:
        """A new worker in its place, with its buffers."""
        control, barriers = self.world.control, self.algorithm.barriers_per_round
        if not control.join(rank, barriers, 0.0):
            self.round()  # it joins at the end of the round after this one
            assert control.join(rank, barriers, 1.0)
        self.gone.discard(rank)
        self.views[rank].rounds.generation = control.arrived(rank)
        self.steps[rank] = self.algorithm.worker(self.views[rank])
        self._ask(rank, next(self.steps[rank]))

    def begin_again(self, rank: int) -> None:
        """An update has cancelled the worker's gradient: its text begins anew, as in a driver that can break it off."""
        self.views[rank].drop()
        self.steps[rank] = self.algorithm.worker(self.views[rank])
        self._ask(rank, next(self.steps[rank]))

    def _ask(self, rank: int, request: Gradient | Barrier | Update) -> None:
        if isinstance(request, Update):
            self.waiting.add(rank)
            return
        assert isinstance(request, Gradient), "this algorithm meets at barriers: use round()"
        self.answers[rank] = self.gradient(request.at, rank)


def make(name: str, **options: object) -> Algorithm:
    return REGISTRY[name](**options)
