"""Simulated boxes: each is a simulation of its own workers, and an outer clock orders them and the fluxes that travel.

Between boxes as in couriers: an exchange begins when a box has made `between_period` updates (Pacing), with a box that
is in no other one, else it is skipped. Both snapshots are taken at that time t; the workers go on, and the flux is
added to both models at t + latency + bytes / bandwidth. Runs are repeatable bit for bit.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hogwild.boxes.leases import block_of
from hogwild.boxes.pacing import Pacing
from hogwild.boxes.wire import WIRES
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample
from hogwild.drivers.simulated.clocks import TimedClock
from hogwild.drivers.simulated.simulation import Simulation
from hogwild.drivers.simulated.workers import Push, SimulatedWorker
from hogwild.kernels import weighted_sum
from hogwild.shared.world import World


@dataclass
class SimulatedBox:
    """One box. `is_busy`: in an exchange."""

    simulation: Simulation
    pacing: Pacing
    is_busy: bool = False

    @property
    def x(self) -> Tensor:
        return self.simulation.world.arena.tensor("x")

    @property
    def version(self) -> int:
        return self.simulation.versions.version


class BoxSimulation:
    """The boxes of a run, each with a world and a module of its own, and a clock of the workers of all of them.

    Worker r of box b has rank b workers + r in what `advance` returns, and its tickets are numbers of the whole run.
    """

    def __init__(
        self,
        job: Job,
        worlds: Sequence[World],
        modules: Sequence[nn.Module],
        clock: TimedClock,
        on_bad: Callable[[Sequence[BadSample], int, int], object],
    ) -> None:
        config = job.config
        inner = replace(job, config=replace(config, latency=0.0, bandwidth=0.0))  # these are between boxes
        self.now, self.computed, self.messages, self.moved_bytes = 0.0, 0, 0, 0
        self.exchanges = self.refused = self.late = 0
        self._total, self._block, self._next = job.total_tickets, block_of(job.total_tickets, len(worlds)), 0
        self._flying: list[tuple[float, int, int, int, Tensor]] = []
        self._latency, self._bandwidth = config.latency, config.bandwidth or math.inf
        self._wire = WIRES[config.between_wire](worlds[0].layout.n)
        self._known: dict[tuple[int, int], Tensor] = {}  # what box j has decoded of box i
        self.boxes: list[SimulatedBox] = []
        for b, (world, module) in enumerate(zip(worlds, modules, strict=True)):
            world.control.assign(0, 0, [])
            while world.control.total < config.workers and self._lease(world):
                pass
            part = clock.part(b * config.workers, config.workers)
            simulation = Simulation(inner, world, module, part, on_bad)
            self.boxes.append(SimulatedBox(simulation, Pacing(config.between_period, config.seed, b, 0)))
        self.doubts = list(self.boxes[0].simulation.doubts)

    @property
    def workers(self) -> Sequence[SimulatedWorker]:
        return [worker for box in self.boxes for worker in box.simulation.workers]

    def advance(self) -> Push | None:
        """The next push of any box, after all fluxes that arrive before it. None if no ticket is left: then all fluxes
        have arrived.
        """
        while True:
            times = [box.simulation.next_time() for box in self.boxes]
            known = [(time, b) for b, time in enumerate(times) if time is not None]
            until, b = min(known, default=(math.inf, -1))
            if self._flying and self._flying[0][0] <= until:
                self._arrive(*heapq.heappop(self._flying))
                continue
            if b < 0:
                return None
            if (push := self._push(b)) is not None:
                return push

    def _push(self, b: int) -> Push | None:
        box = self.boxes[b]
        control = box.simulation.world.control
        if control.next == control.total:
            self._lease(box.simulation.world)
        push = box.simulation.advance()
        self.now = max(self.now, box.simulation.now)
        self.computed = sum(box.simulation.computed for box in self.boxes)
        if box.version >= box.pacing.due and not box.is_busy:
            self._begin(b)
        if push is None:
            return None
        rank = b * len(box.simulation.workers) + push.rank
        return replace(push, rank=rank, ticket=control.number(push.ticket))

    def _lease(self, world: World) -> bool:
        """Leases the next block for that box; False if there is none."""
        first, count = self._next, min(self._block, self._total - self._next)
        self._next += count
        world.control.lease(first, count, more=False)
        return count > 0

    # ---- exchanges ------------------------------------------------------------------------------------------------

    def _begin(self, i: int) -> None:
        """Box i offers an exchange."""
        box = self.boxes[i]
        j = box.pacing.draw([k for k in range(len(self.boxes)) if k != i])
        if self.boxes[j].is_busy:
            self.refused += 1
            self.late += box.pacing.end(box.version)
            return
        packet = self._snapshot(i, j)
        self._snapshot(j, i)
        flux = torch.empty_like(box.x)
        weighted_sum(flux, [self._known[j, i], self._known[i, j]], [0.5, -0.5])
        size = packet.numel() * packet.element_size()
        self.messages += 2
        self.moved_bytes += 2 * size
        box.is_busy = self.boxes[j].is_busy = True
        arrives = self.now + self._latency + size / self._bandwidth
        heapq.heappush(self._flying, (arrives, self.messages, i, j, flux))

    def _snapshot(self, i: int, j: int) -> Tensor:
        """Takes the snapshot that box i sends to box j, as box j decodes it; returns the packet."""
        known = self._known.setdefault((i, j), torch.zeros_like(self.boxes[i].x))
        return self._wire.encode(self.boxes[i].x, known)

    def _arrive(self, time: float, _number: int, i: int, j: int, flux: Tensor) -> None:
        """The flux is added to box i, which began, and taken from box j."""
        self.now = max(self.now, time)
        self.exchanges += 1
        if torch.isfinite(flux).all():
            self.boxes[i].x.add_(flux)
            self.boxes[j].x.sub_(flux)
        self.boxes[i].is_busy = self.boxes[j].is_busy = False
        self.late += self.boxes[i].pacing.end(self.boxes[i].version)

    # ---- the end --------------------------------------------------------------------------------------------------

    def average(self) -> float:
        """Gives all boxes the mean of all. Returns their root mean square distance from it before."""
        parts = [box.x.clone() for box in self.boxes]
        mean = torch.empty_like(parts[0])
        weighted_sum(mean, parts, [1 / len(parts)] * len(parts))
        for box in self.boxes:
            box.x.copy_(mean)
        squared = sum(float((part - mean).double().square().sum()) for part in parts)
        return math.sqrt(squared / (len(parts) * mean.numel()))
