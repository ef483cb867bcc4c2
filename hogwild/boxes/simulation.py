"""Simulated boxes: each is a simulation of its own workers, and an outer clock orders them and the fluxes that travel.

Between boxes as in couriers: an exchange begins when a box has made `between_period` updates (Pacing). Snapshots are
taken at that time t; the workers go on, and the flux is added at t + latency + bytes / bandwidth (simulated_pairs.py,
simulated_texts.py). Runs are repeatable bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from hogwild.boxes import normalization
from hogwild.boxes.leases import block_of
from hogwild.boxes.outer import outer_world
from hogwild.boxes.pacing import Pacing
from hogwild.boxes.simulated_box import Between, SimulatedBox
from hogwild.boxes.simulated_pairs import Pairs
from hogwild.boxes.simulated_texts import Texts
from hogwild.config.between import PAIRS, outer
from hogwild.drivers.job.batches import Batches
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample
from hogwild.drivers.simulated.clocks import TimedClock
from hogwild.drivers.simulated.simulation import Simulation
from hogwild.drivers.simulated.workers import Push, SimulatedWorker
from hogwild.kernels import weighted_sum
from hogwild.shared.world import World


class BoxSimulation:
    """The boxes of a run, each with a world and a module of its own, and a clock of the workers of all of them.

    Worker r of box b has rank b workers + r in what `advance` returns, and its tickets are numbers of the whole run.
    `orders`: the batches of each box, in place of the job's.
    """

    def __init__(
        self,
        job: Job,
        worlds: Sequence[World],
        modules: Sequence[nn.Module],
        clock: TimedClock,
        on_bad: Callable[[Sequence[BadSample], int, int], object],
        orders: Sequence[Batches] | None = None,
    ) -> None:
        config = job.config
        inner = replace(config, latency=0.0, bandwidth=0.0)  # these are between boxes
        self.now, self.computed = 0.0, 0
        self._total, self._block, self._next = job.total_tickets, block_of(job.total_tickets, len(worlds)), 0
        self.boxes: list[SimulatedBox] = []
        for b, (world, module) in enumerate(zip(worlds, modules, strict=True)):
            world.control.assign(0, 0, [])
            while world.control.total < config.workers and self._lease(world):
                pass
            part = clock.part(b * config.workers, config.workers)
            order = job.order if orders is None else orders[b]
            simulation = Simulation(replace(job, config=inner, order=order), world, module, part, on_bad)
            self.boxes.append(SimulatedBox(simulation, Pacing(config.between_period, config.seed, b, 0)))
        self.doubts = list(self.boxes[0].simulation.doubts)
        self.between: Between
        if config.between == PAIRS:
            self.between = Pairs(self.boxes, config)
        else:
            text = outer(str(config.between), config.between_options)
            outer_buffers = outer_world(modules[0], text, len(worlds), worlds[0].layout.dtype)
            self.between = Texts(self.boxes, config, text, outer_buffers)

    @property
    def workers(self) -> Sequence[SimulatedWorker]:
        return [worker for box in self.boxes for worker in box.simulation.workers]

    @property
    def messages(self) -> int:
        return self.between.messages

    @property
    def moved_bytes(self) -> int:
        return self.between.moved_bytes

    def advance(self) -> Push | None:
        """The next push of any box, after all fluxes that arrive before it. None if no ticket is left: then all fluxes
        have arrived.
        """
        while True:
            until, b = self._next_box()
            if self.between.next_time <= until and self.between.next_time < math.inf:
                self.between.arrive()
                self.now = max(self.now, self.between.now)
            elif b is not None:
                if (push := self._push(b)) is not None:
                    return push
            else:
                return None

    def _next_box(self) -> tuple[float, int | None]:
        """When the next gradient is due, and in which box. Boxes that have no work leave."""
        until, next_box = math.inf, None
        for b, box in enumerate(self.boxes):
            if box.is_busy and self.between.holds:
                continue
            time = box.simulation.next_time()
            if time is None and not (box.is_busy or box.has_left):
                self.between.leave(b, self.now)
            elif time is not None and time < until:
                until, next_box = time, b
        return until, next_box

    def _push(self, b: int) -> Push | None:
        box = self.boxes[b]
        control = box.simulation.world.control
        if control.next == control.total:
            self._lease(box.simulation.world)
        push = box.simulation.advance()
        self.now = max(self.now, box.simulation.now)
        self.computed = sum(box.simulation.computed for box in self.boxes)
        if box.version >= box.pacing.due and not box.is_busy:
            self.between.begin(b, self.now)
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

    # ---- the end --------------------------------------------------------------------------------------------------

    def average(self) -> float:
        """Gives all boxes the mean of all, and pools the statistics of their normalization. Returns their root mean
        square distance from it before.
        """
        parts = [box.x.clone() for box in self.boxes]
        mean = torch.empty_like(parts[0])
        weighted_sum(mean, parts, [1 / len(parts)] * len(parts))
        statistics = [
            normalization.gathered(s.world, s.module, range(s.world.workers))
            for s in (box.simulation for box in self.boxes)
        ]
        for box in self.boxes:
            box.x.copy_(mean)
            normalization.spread(box.simulation.world, box.simulation.module, statistics)
        squared = sum(float((part - mean).double().square().sum()) for part in parts)
        return math.sqrt(squared / (len(parts) * mean.numel()))
