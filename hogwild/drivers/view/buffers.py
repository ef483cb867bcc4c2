"""What every part of a worker's view starts from: the world, its rank, and the buffers by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from hogwild.algorithms.base import Place, Scope
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
    """The buffers [n] that worker `rank` sees. The driver sets `generation` at each barrier and `lr` before each step;
    `seed` is that of the worker's own random choices.
    """

    def __init__(
        self, world: World, rank: int, scopes: Mapping[str, Scope], access: Access, barriers_per_round: int, seed: int
    ) -> None:
        self.world = world
        self.control = world.control
        self.rank = rank
        self.workers = world.workers
        self.scopes = scopes
        self.access = access
        self.barriers_per_round = barriers_per_round
        self.generation = 0
        self.lr = 0.0
        self.seed = seed
        self.traffic = Traffic()
        self._tensors: dict[tuple[str, int], Tensor] = {}

    def buffer(self, place: Place) -> Tensor:
        """The shared buffer of that name, or this worker's own, or (name, rank): that worker's."""
        key = (place, self.rank) if isinstance(place, str) else place
        if key not in self._tensors:
            self._tensors[key] = self.world.arena.tensor(*key)
        return self._tensors[key]

    def settle(self) -> None:
        """Until a push of this worker that is still on its way has been counted; there may be none."""
