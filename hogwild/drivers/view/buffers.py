"""The common base of the parts of a worker's view: the world, the worker's rank, and its buffers by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from hogwild.algorithms.base import Place
from hogwild.buffers import Buffer, Rows, Scope
from hogwild.rules import Access
from hogwild.shared.control import Ledger, Rounds, Tickets, Versions
from hogwild.shared.world import World


@dataclass
class Traffic:
    """Counts the bytes that a worker would send and receive if its own memory and the shared memory were on different
    machines.
    """

    messages: int = 0
    moved_bytes: int = 0

    def add(self, tensor: Tensor, times: float) -> None:
        """Adds one message of `times` such buffers."""
        self.add_bytes(round(tensor.numel() * tensor.element_size() * times))

    def add_bytes(self, count: int) -> None:
        """Adds one message of that many bytes."""
        self.messages += 1
        self.moved_bytes += count

    def take(self) -> Traffic:
        """Returns the traffic since the last call."""
        taken = Traffic(self.messages, self.moved_bytes)
        self.messages = self.moved_bytes = 0
        return taken


class Buffers:
    """The buffers that worker `rank` may use, and how it may write the shared ones (`access`)."""

    def __init__(self, world: World, rank: int, declared: Mapping[str, Buffer], access: Access) -> None:
        self.world = world
        self.tickets: Tickets = world.control
        self.versions: Versions = world.control
        self.rounds: Rounds = world.control
        self.ledger: Ledger = world.control
        self.rank = rank
        self.workers = world.workers
        self.declared = declared
        self.access = access
        self.traffic = Traffic()
        self._tensors: dict[tuple[str, int], Tensor] = {}
        self._parts: dict[tuple[str, int], list[Tensor]] = {}

    def __getitem__(self, place: Place) -> Tensor:
        """The shared buffer of that name, or this worker's own; (name, rank): that worker's. One with a row per
        parameter tensor is [tensors, columns].
        """
        key = (place, self.rank) if isinstance(place, str) else place
        if key not in self._tensors:
            tensor, size = self.world.arena.tensor(*key), self.world.buffers[key[0]].size
            self._tensors[key] = tensor.view(-1, size.columns) if isinstance(size, Rows) else tensor
        return self._tensors[key]

    def __contains__(self, name: str) -> bool:
        """Whether the algorithm keeps a buffer of that name."""
        return name in self.declared

    @property
    def has_snapshot(self) -> bool:
        """Whether gradients are taken at a snapshot, which is written by pulls and pushes."""
        return "snapshot" in self.declared

    def took_over(self, locks: int) -> None:
        """Counts stripe locks whose holder died while it held them."""
        if locks:
            self.ledger.count_exchange(self.rank, 0, 0, locks)

    def is_shared(self, name: str) -> bool:
        """Whether there is one buffer of that name for all workers."""
        return self.declared[name].scope is Scope.SHARED

    def is_own(self, name: str) -> bool:
        """Whether no other worker writes this worker's buffer of that name."""
        return not self.is_shared(name) and not self.declared[name].locks

    def parts(self, place: Place) -> list[Tensor]:
        """A buffer as one view per parameter, in the shape of a gradient."""
        key = (place, self.rank) if isinstance(place, str) else place
        if key not in self._parts:
            self._parts[key] = self.world.layout.views(self[key])
        return list(self._parts[key])

    def is_remote(self, place: Place) -> bool:
        """Whether a worker on another machine would have to send or fetch the buffer."""
        if isinstance(place, str):
            return self.is_shared(place)
        return place[1] != self.rank
