"""A loader process: it reads the batches of the next tickets before a worker asks for them, and leaves them in slots.

It takes no ticket and decides nothing: which samples a batch has, and its random numbers, depend on the ticket alone.
A ticket that a worker has been given before is left to that worker, so loaders that are too slow make no run slower.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import Batch, Reader
from hogwild.drivers.processes.context import set_up
from hogwild.drivers.processes.slots import Slots
from hogwild.shared.control import Tickets
from hogwild.shared.payload import Payload
from hogwild.shared.seeds import States
from hogwild.shared.world import World

NAPS_S = (0.0001, 0.01)  # while all slots are full: half the time of a batch, within these limits


@dataclass(frozen=True)
class LoaderContext:
    """The context of one loader, besides the job. `least`: the samples that a batch needs."""

    world: World
    slots: Slots
    number: int
    least: int
    log: Path


@dataclass(frozen=True)
class Loaded:
    """The parts of a batch, and the random generators after it was read; None if reading drew no numbers."""

    parts: list[Batch]
    states: States | None


class Loader:
    """Fills the slots of loader `number`, as far as they reach ahead of `workers` workers."""

    def __init__(self, job: Job, tickets: Tickets, slots: Slots, number: int, workers: int, least: int) -> None:
        self.job, self.tickets, self.slots, self.number = job, tickets, slots, number
        self.reader = Reader(job.data.train, least)
        self._ahead = slots.ahead - workers  # those behind have the batches that workers may be copying
        self._ticket = number
        self._batch_s = 0.0

    def run(self) -> None:
        """Until all tickets are taken."""
        while not self.tickets.stopping and self.tickets.next < self.tickets.total:
            if not self.step():
                time.sleep(min(max(self._batch_s / 2, NAPS_S[0]), NAPS_S[1]))

    def step(self) -> bool:
        """Makes the next batch; False if that must wait."""
        next, loaders = self.tickets.next, self.slots.loaders
        ticket = max(self._ticket, next + (self.number - next) % loaders)
        if ticket >= min(self.tickets.total, next + self._ahead):
            return False
        began = time.monotonic()
        self.slots.write(ticket, lambda: self._load(ticket))
        self._ticket, self._batch_s = ticket + loaders, time.monotonic() - began
        return True

    def _load(self, ticket: int) -> Loaded:
        order = self.job.order
        parts = self.reader.in_parts(order, ticket, 0, 0, self.job.config.batch_size)
        after = States.now()
        self.reader.seed(order, ticket, 0, 0, len(parts))
        return Loaded(parts, None if after.equals(States.now()) else after)


def main(payload: Payload, context: LoaderContext) -> None:
    """Runs one loader. `payload`: Job.payload()."""
    set_up(context.log)
    job, world = Job.of(payload), context.world
    Loader(job, world.control, context.slots, context.number, world.workers, context.least).run()
