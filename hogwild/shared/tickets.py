"""The tickets of a run: which worker computes which batch, and whose gradient counts. One of the interfaces of
hogwild.shared.control, which says what holds for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

NO_TICKET = -1


class Tickets(Protocol):
    """Tickets 0, 1, 2, ... each stand for one gradient. A ticket is assigned to a worker, which completes it. If the
    worker dies first, the ticket is assigned again. At the end of a run it can be taken over: then two workers compute
    it, and the gradient of the one that claims it first counts.
    """

    @property
    def next(self) -> int:
        """The lowest ticket that has not been assigned yet."""

    @property
    def total(self) -> int:
        """The number of tickets of the whole run; 0 if the workers run loops of their own."""

    @property
    def stopping(self) -> bool:
        """Whether the parent has requested the end of the run."""

    def stop(self) -> None:
        """Requests the end of the run: no more tickets are assigned, and all waits for other workers end."""

    def assign(self, next: int, total: int, again: Sequence[int]) -> None:
        """Called before any worker starts: tickets `again` are assigned first, then those from `next` to `total`."""

    @property
    def open(self) -> bool:
        """Whether more tickets may be leased (a run of several boxes)."""

    def lease(self, first: int, count: int, more: bool) -> None:
        """`count` tickets more, with the numbers from `first` on in the run of all boxes. `more`: workers without a
        ticket wait for the next lease.
        """

    def number(self, ticket: int) -> int:
        """The number of a ticket in the run of all boxes; without leases the ticket itself."""

    def take(self, rank: int, takes_over: bool = False, ns: int | None = None) -> int:
        """The worker's ticket: its current one if that is not completed, else a new one. NO_TICKET if none is left, or
        the run is stopping.

        `takes_over`: if none is left, the ticket that another worker has had for longer than twice the time that this
        one took for its last, and that nobody has claimed or taken over. `ns`: the time on the run's clock; None: now.
        """

    def takes_over_at(self, rank: int) -> int | None:
        """The time in ns from which on the worker could take a ticket over; None if there is none."""

    def claim(self, rank: int) -> bool:
        """Called before the worker's gradient is used in any way. False: another worker computed the same ticket and
        has claimed it, so this gradient counts for nothing, and the worker has no ticket any more.
        """

    def disclaim(self, rank: int) -> None:
        """The claimed gradient was not used after all; the worker keeps its ticket."""

    def overtaken(self, rank: int) -> bool:
        """Whether another worker has claimed the ticket that this one is still computing."""

    def complete(self, rank: int) -> None:
        """Marks the worker's current ticket as completed."""

    def completed(self, rank: int) -> int:
        """The number of tickets that this worker and its predecessors of the same rank have completed."""

    def restore_completed(self, rank: int, completed: int) -> None:
        """Sets `completed`, in a run that is resumed."""

    def outstanding(self) -> list[int]:
        """Tickets that were assigned and are not completed, ascending."""

    def exhausted(self) -> bool:
        """Whether no ticket is left that could still lead to a gradient."""

    def wait_for_work(self, rank: int, timeout_s: float, takes_over: bool = False) -> bool:
        """For a worker without a ticket: waits for the ticket of a worker that dies, for a lease, or for one that it
        `takes_over`. True if there is one to take; False if no ticket is outstanding and none will be leased, or the
        time is over.
        """

    def mark_dead(self, rank: int, timeout_s: float) -> bool:
        """Called by the parent after a death: no worker waits for this one any more; its ticket is assigned again,
        unless another worker computes it too.

        False if the ticket could not be reached in that time, because another process holds the lock of the tickets.
        """
