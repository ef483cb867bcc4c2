"""Leases of tickets: the boxes of a run take blocks of its tickets, so that an epoch is one pass by all of them.

A fast box takes more blocks than a slow one. The parent of a box leases ahead of its workers, which therefore wait only
if the store is slow; not the courier, which may stand still. If the store is gone, a box goes on with every boxes-th
block behind the last one that it had, and so do the others with theirs.

Keys of torchrun's store, for incarnation i of box b:

    tickets          the next block
    leased/b/i       its blocks, in order;  done/b/i  how many of them are completed
    returned/b/i     it is gone: who counts this to 1 appends the others to `again`, from which they are leased first

A box without work waits until all others have done theirs, or for --between-linger: one that dies now returns its
blocks. A box that was only cut off for longer than --between-timeout makes them too, so they are made twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from hogwild.boxes.part import INCARNATION_KEY
from hogwild.boxes.rendezvous import Rendezvous
from hogwild.shared.control import Tickets

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

KEY, LEASED, DONE, RETURNED, AGAIN, TAKEN = "tickets", "leased", "done", "returned", "again", "again_taken"
POLL_S, IDLE_S = 0.01, 0.1
LARGEST = 64
SHARES = 128  # blocks that a box takes on average, so that a slow box holds up the end of a run by little
MOST = 1000  # leases of one box, of which the control block has 1024


def block_of(tickets: int, boxes: int) -> int:
    """The number of tickets in a block of a run of `tickets`."""
    return max(1, min(LARGEST, tickets // (boxes * SHARES)), -(-tickets // MOST))


class Leases(threading.Thread):
    """Leases blocks for the `workers` workers of a box until none of the run's `total` tickets is left. `gone()`: the
    boxes that are gone. `is_alone`: the store is gone.
    """

    def __init__(
        self, tickets: Tickets, rendezvous: Rendezvous, total: int, workers: int, incarnation: int, linger_s: float,
        gone: Callable[[], Collection[int]],
    ) -> None:  # fmt: skip
        super().__init__(name="leases", daemon=True)
        self._tickets, self._rendezvous, self._total, self._workers = tickets, rendezvous, total, workers
        self._block = block_of(total, rendezvous.boxes)
        self._own = f"{rendezvous.box}/{incarnation}"
        self._incarnation, self._linger_s, self._gone = incarnation, linger_s, gone
        self._store: Store | None = None
        self.is_alone = False
        self._last = -1  # block
        self._ends: list[int] = []  # of each own block, the first ticket behind it
        self._done = 0
        self._idle_since: float | None = None

    def run(self) -> None:
        before = self._tickets.next
        while self._tickets.open and not self._tickets.stopping:
            now = self._tickets.next
            ahead = max(2 * self._workers, 4 * (now - before))  # as many as may be taken until the next look
            before = now
            while self._tickets.open and self._tickets.total - now < ahead and self._lease():
                pass
            if not self.is_alone:
                self._try(self._tell_done)
            time.sleep(POLL_S if self._idle_since is None else IDLE_S)
        while self._done < len(self._ends) and not (self.is_alone or self._tickets.stopping):
            time.sleep(POLL_S)  # the last tickets are in the workers' hands, and others wait for them
            self._try(self._tell_done)

    def _lease(self) -> bool:
        """Leases one block more; False if there is none now."""
        block = self._try(self._next)
        if self.is_alone:
            boxes = self._rendezvous.boxes
            self._last += 1 + (self._rendezvous.box - self._last - 1) % boxes
            block = self._last
        if block is not None and block * self._block < self._total:
            first = block * self._block
            count = min(self._block, self._total - first)
            self._tickets.lease(first, count, more=True)
            self._ends.append(self._tickets.total)
            self._idle_since = None
            return True
        if self.is_alone or self._try(self._is_over):
            self._tickets.lease(0, 0, more=False)
        return False

    def _try(self, ask: Callable[[], int | None]) -> int | None:
        """What the store says; None if it is gone."""
        if not self.is_alone:
            try:
                if self._store is None:
                    self._store = self._rendezvous.store()
                    for i in range(1, self._incarnation):
                        self._give_back(self._rendezvous.box, i)
                return ask()
            except RuntimeError:
                self.is_alone = True
        return None

    def _next(self) -> int | None:
        """A block that a box has returned, or the next one; None if there is neither."""
        store = self._client
        block = self._returned()
        if block is None and (self._last + 1) * self._block < self._total:
            self._last = block = store.add(KEY, 1) - 1
        if block is None or block * self._block >= self._total:
            return None
        store.append(f"{LEASED}/{self._own}", f"{block},")  # type: ignore[attr-defined]  # not in the stub
        return block

    def _returned(self) -> int | None:
        store = self._client
        if not store.check([AGAIN]):
            return None
        known = _blocks(store.get(AGAIN))
        if store.add(TAKEN, 0) >= len(known):
            return None
        place = store.add(TAKEN, 1) - 1
        if place < len(known):
            return known[place]
        store.add(TAKEN, -1)
        return None

    def _tell_done(self) -> None:
        """Completed are the tickets before the first that is in a worker's hand."""
        reached = min([self._tickets.next, *self._tickets.outstanding()])
        done = sum(end <= reached for end in self._ends)
        if done > self._done:
            self._done = done
            self._client.set(f"{DONE}/{self._own}", str(done))

    def _is_over(self) -> bool:
        """Whether no block can come back any more, or this box has waited for that long enough."""
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        self._tell_done()
        gone = self._gone()
        for box in range(self._rendezvous.boxes):
            for i in range(1, self._incarnations(box) + 1):
                if f"{box}/{i}" == self._own or not self._left(box, i):
                    continue
                if box not in gone or self._incarnations(box) > i:
                    return now - self._idle_since > self._linger_s
                self._give_back(box, i)
                return False
        return True

    def _incarnations(self, box: int) -> int:
        return self._client.add(f"{INCARNATION_KEY}/{box}", 0)

    def _left(self, box: int, i: int) -> list[int]:
        """The blocks that incarnation i of that box has neither completed nor returned."""
        store, own = self._client, f"{box}/{i}"
        if not store.check([f"{LEASED}/{own}"]) or store.add(f"{RETURNED}/{own}", 0):
            return []
        done = int(store.get(f"{DONE}/{own}")) if store.check([f"{DONE}/{own}"]) else 0
        return _blocks(store.get(f"{LEASED}/{own}"))[done:]

    def _give_back(self, box: int, i: int) -> None:
        """The blocks of a box that is gone are leased again."""
        if (left := self._left(box, i)) and self._client.add(f"{RETURNED}/{box}/{i}", 1) == 1:
            text = "".join(f"{block}," for block in left)
            self._client.append(AGAIN, text)  # type: ignore[attr-defined]

    @property
    def _client(self) -> Store:
        assert self._store is not None, "it is made by the first question"
        return self._store


def _blocks(text: bytes) -> list[int]:
    return [int(part) for part in text.decode().split(",") if part]
