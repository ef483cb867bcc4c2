"""What every part of a worker's view starts from: the world, its rank, and the buffers by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from hogwild.algorithms.base import Place
from hogwild.buffers import Buffer, Rows, Scope
from hogwild.rules import Access
from hogwild.shared.world import World


@dataclass
class Traffic:
    """What a worker has moved between its own memory and what it shares, as if there were a wire in between."""

    messages: int = 0
    moved_bytes: int = 0

    def add(self, tensor: Tensor, times: float) -> None:
        """One message of `times` such buffers."""
        self.messages += 1
        self.moved_bytes += round(tensor.numel() * tensor.element_size() * times)

    def take(self) -> Traffic:
        """The traffic since the last call."""
        taken = Traffic(self.messages, self.moved_bytes)
        self.messages = self.moved_bytes = 0
        return taken


class Buffers:
    """The buffers that worker `rank` sees. The driver sets `generation` at each barrier and `lr` before each step;
    `seed` is that of the worker's own random choices.
    """

    def __init__(
        self,
        world: World,
        rank: int,
        declared: Mapping[str, Buffer],
        access: Access,
        barriers_per_round: int,
        seed: int,
    ) -> None:
        self.world = world
        self.control = world.control
        self.rank = rank
        self.workers = world.workers
        self.declared = declared
        self.access = access
        self.barriers_per_round = barriers_per_round
        self.generation = 0
        self.lr = 0.0
        self.seed = seed
        self.traffic = Traffic()
        self._tensors: dict[tuple[str, int], Tensor] = {}

    def buffer(self, place: Place) -> Tensor:
        """The shared buffer of that name, or this worker's own, or (name, rank): that worker's. One with a row per
        parameter tensor is [tensors, columns].
        """
        key = (place, self.rank) if isinstance(place, str) else place
        if key not in self._tensors:
            tensor, size = self.world.arena.tensor(*key), self.world.buffers[key[0]].size
            self._tensors[key] = tensor.view(-1, size.columns) if isinstance(size, Rows) else tensor
        return self._tensors[key]

    @property
    def has_snapshot(self) -> bool:
        """Whether gradients are taken at a snapshot, which pulls and pushes write."""
        return "snapshot" in self.declared

    def is_shared(self, name: str) -> bool:
        """Whether there is one buffer of that name for all workers."""
        return self.declared[name].scope is Scope.SHARED

    def settle(self) -> None:
        """Until a push of this worker that is still on its way has been counted; there may be none."""
