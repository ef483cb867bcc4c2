"""Leases of tickets: the boxes of a run take blocks of its tickets, so that an epoch is one pass by all of them.

A fast box takes more blocks than a slow one. The next block is a counter in torchrun's store. The parent of a box
leases ahead of its workers, which therefore wait only if the store is slow; not the courier, which may stand still. If
the store is gone, a box goes on with every boxes-th block behind the last one that it had, and so do the others with
theirs.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from hogwild.boxes.rendezvous import Rendezvous
from hogwild.shared.control import Tickets

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

KEY = "tickets"
POLL_S = 0.01
LARGEST = 64
SHARES = 128  # blocks that a box takes on average, so that a slow box holds up the end of a run by little
MOST = 1000  # leases of one box, of which the control block has 1024


def block_of(tickets: int, boxes: int) -> int:
    """The number of tickets in a block of a run of `tickets`."""
    return max(1, min(LARGEST, tickets // (boxes * SHARES)), -(-tickets // MOST))


class Leases(threading.Thread):
    """Leases blocks for the `workers` workers of a box until none of the run's `total` tickets is left. `is_alone`: the
    store is gone.
    """

    def __init__(self, tickets: Tickets, rendezvous: Rendezvous, total: int, workers: int) -> None:
        super().__init__(name="leases", daemon=True)
        self._tickets, self._rendezvous, self._total, self._workers = tickets, rendezvous, total, workers
        self._block = block_of(total, rendezvous.boxes)
        self._store: Store | None = None
        self.is_alone = False
        self._last = -1  # block

    def run(self) -> None:
        before = self._tickets.next
        while self._tickets.open and not self._tickets.stopping:
            now = self._tickets.next
            ahead = max(2 * self._workers, 4 * (now - before))  # as many as may be taken until the next look
            before = now
            while self._tickets.open and self._tickets.total - now < ahead:
                self._lease()
            time.sleep(POLL_S)

    def _lease(self) -> None:
        first = self._next() * self._block
        count = max(0, min(self._block, self._total - first))
        self._tickets.lease(first, count, more=count > 0)

    def _next(self) -> int:
        """The number of the next block that is this box's."""
        if not self.is_alone:
            try:
                if self._store is None:
                    self._store = self._rendezvous.store()
                self._last = self._store.add(KEY, 1) - 1
                return self._last
            except RuntimeError:
                self.is_alone = True
        boxes = self._rendezvous.boxes
        self._last += 1 + (self._rendezvous.box - self._last - 1) % boxes
        return self._last
