"""The algorithm files of hogwild as contestants, driven as a worker process drives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, cat, nn

from bench.peers.contestant import Contestant
from hogwild.algorithms import REGISTRY
from hogwild.algorithms.base import Algorithm, Barrier, Update
from hogwild.drivers.instruments.recording import unrecorded
from hogwild.drivers.processes.stepper import Stepper
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.shared.world import World

NEVER = 1 << 40
POLL_S = 1.0
CONTROL = "step alone, hogwild"
OURS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "ad-psgd, random pair": ("ad-psgd", {}),
    "d-psgd, ring": ("d-psgd", {"combine": "last"}),
    "local-sgd, mean of all": ("local-sgd", {"period": 1}),
    "easgd, center": ("easgd", {"period": 1}),
    CONTROL: ("easgd", {"period": NEVER}),
}


def algorithm(name: str) -> Algorithm:
    kind, options = OURS[name]
    return REGISTRY[kind](**options)


class Ours(Contestant):
    """One worker of an algorithm, in a world mapped by all processes. Default access policy and guard."""

    def __init__(self, name: str, world: World, rank: int, module: nn.Module) -> None:
        own = algorithm(name)
        self._control, self._rank = world.control, rank
        self._view = WorkerView(world, rank, own.keeps(), barriers_per_round=own.barriers_per_round)
        self._stepper = Stepper(own, self._view, module, self._wait, unrecorded)
        while not self._control.join(rank, own.barriers_per_round, POLL_S):
            pass
        self._stepper.begin()

    def step(self, g: Sequence[Tensor], lr: float) -> None:
        self._view.lr = lr
        self._stepper.advance(g)

    def models(self) -> list[Tensor]:
        """The worker's model; for elastic algorithms the first process adds the center, a part of the conserved sum."""
        layout = self._view.world.layout
        shared = ["x"] if self._rank == 0 and self._stepper.algorithm.name == "easgd" else []
        return [_packed(layout.views(self._view.buffer(name))) for name in ("replica", *shared)]

    def _wait(self, request: Barrier | Update) -> None:
        assert isinstance(request, Barrier), f"no contestant waits for {request}"
        self._view.rounds.generation = generation = self._control.arrive(self._rank)
        while not self._control.wait_barrier(self._rank, generation, POLL_S):
            pass


def _packed(views: Sequence[Tensor]) -> Tensor:
    return cat([view.reshape(-1) for view in views])
