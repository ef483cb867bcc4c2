"""How far a run is: completed tickets, samples, the learning rate of the schedule."""

from __future__ import annotations

from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.job import Job
from hogwild.shared.control import Tickets
from hogwild.shared.world import World


class Counts:
    """Reads the tickets of a run; of several boxes, with those of the others before."""

    def __init__(self, job: Job, world: World) -> None:
        self.job, self.world = job, world
        self.tickets: Tickets = world.control

    @property
    def completed(self) -> int:
        """The number of tickets with their gradient in the model."""
        return self.tickets.number(self.tickets.next) - len(self.tickets.outstanding())

    @property
    def samples(self) -> int:
        """The number of samples with their gradient in the model; with a caller's own loop, the loop's own count."""
        if self.job.body is not None:
            return Statistics.of(self.world).samples
        return self.job.order.samples_before(self.completed)

    def samples_of(self, state: State) -> int:
        """The same for a copy."""
        order, next = self.job.counted, state.next
        others = order.samples_before(self.tickets.number(next)) - order.samples_before(next) if order else 0
        return state.samples(order) + others

    @property
    def lr(self) -> float:
        """The learning rate of the next ticket, or of the last one."""
        return self.lr_at(self.tickets.number(self.tickets.next))

    def lr_of(self, state: State) -> float:
        """The same for a copy: the workers have gone on since."""
        return self.lr_at(self.tickets.number(state.next))

    def lr_at(self, ticket: int) -> float:
        """That of a ticket of the run, or of the nearest one that it has."""
        return self.job.schedule.lr(max(0, min(ticket, self.job.total_tickets - 1)))
