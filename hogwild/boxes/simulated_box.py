"""A simulated box, and what the algorithms between simulated boxes have in common."""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hogwild.boxes.pacing import Pacing
from hogwild.config import Config
from hogwild.drivers.simulated.simulation import Simulation
from hogwild.shared.control import Versions


@dataclass
class SimulatedBox:
    """One box. `is_busy`: in an exchange. `has_left`: it has no work any more."""

    simulation: Simulation
    pacing: Pacing
    is_busy: bool = False
    has_left: bool = False

    @property
    def x(self) -> Tensor:
        return self.simulation.world.arena.tensor("x")

    @property
    def version(self) -> int:
        versions: Versions = self.simulation.versions
        return versions.version


@dataclass(order=True)
class Arrival:
    """A flux on its way: it is added to box `to`, and taken from box `of`, if there is one."""

    time: float
    number: int
    to: int
    of: int | None
    flux: Tensor


class Between(ABC):
    """An algorithm between simulated boxes. `now`: the time of the last arrival."""

    def __init__(self, boxes: Sequence[SimulatedBox], config: Config) -> None:
        self.boxes = boxes
        self.now = 0.0
        self.exchanges = self.refused = self.late = self.messages = self.moved_bytes = 0
        self._latency, self._bandwidth = config.latency, config.bandwidth or math.inf
        self._flying: list[Arrival] = []
        self._sent = 0

    @abstractmethod
    def begin(self, i: int, now: float) -> None:
        """Box i, which is in no exchange, has made its period of updates."""

    def leave(self, i: int, now: float) -> None:  # noqa: ARG002
        """Box i, which is in no exchange, has no work any more."""
        self.boxes[i].has_left = True

    @property
    def next_time(self) -> float:
        """When the next flux arrives."""
        return self._flying[0].time if self._flying else math.inf

    def arrive(self) -> None:
        """The next flux arrives. One that is not finite is left out."""
        arrival = heapq.heappop(self._flying)
        self.now = max(self.now, arrival.time)
        self.exchanges += 1
        is_finite = bool(arrival.flux.isfinite().all())
        for b, add in ((arrival.to, Tensor.add_), (arrival.of, Tensor.sub_)):
            if b is None:
                continue
            if is_finite:
                add(self.boxes[b].x, arrival.flux)
            self.boxes[b].is_busy = False
            self.boxes[b].simulation.hold_until(self.now if self.holds else 0.0)
        box = self.boxes[arrival.to]
        self.late += box.pacing.end(box.version)

    holds = False  # the workers of a box wait until its exchange is done

    def _send(self, now: float, messages: int, moved_bytes: float, to: int, of: int | None, flux: Tensor) -> None:
        """A flux is on its way. `messages`, `moved_bytes`: one after the other, as this flux waits for them."""
        self._sent += 1
        arrives = now + self._latency * messages + moved_bytes / self._bandwidth
        heapq.heappush(self._flying, Arrival(arrives, self._sent, to, of, flux))
