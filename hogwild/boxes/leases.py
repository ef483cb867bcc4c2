"""Leases of tickets: the boxes of a run take blocks of its tickets, so that an epoch is one pass by all of them.

A fast box takes more blocks than a slow one. The parent of a box leases ahead of its workers, which therefore wait only
if the store is slow; not the courier, which may stand still. If the store is gone, a box goes on with every boxes-th
block behind the last one that it had, and so do the others with theirs.

Keys of torchrun's store, for incarnation i of box b:

    tickets          the next block
    leased/b/i       its blocks, in order;  done/b/i  how many of them are completed
    returned/b/i     it is gone: who counts this to 1 appends the others to `again`, from which they are leased first
    made, made/b     the tickets that a resumed run has made: of all boxes, and as the checkpoint of box b knows them

A box without work waits until all others have done theirs, or for --between-linger: one that dies now returns its
blocks. A box that was only cut off for longer than --between-timeout makes them too, so they are made twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from hogwild.boxes.made import Made
from hogwild.boxes.pacing import Pause
from hogwild.boxes.part import INCARNATION_KEY
from hogwild.boxes.rendezvous import STORE_S, Rendezvous
from hogwild.shared.control import Tickets

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

KEY, LEASED, DONE, RETURNED, AGAIN, TAKEN = "tickets", "leased", "done", "returned", "again", "again_taken"
MADE = "made"
POLL_S, IDLE_S, LOOK_S = 0.01, 0.1, 1.0
LARGEST = 64
SHARES = 128  # blocks that a box takes on average, so that a slow box holds up the end of a run by little
MOST = 1000  # leases of one box, of which the control block has 1024


def block_of(tickets: int, boxes: int) -> int:
    """The number of tickets in a block of a run of `tickets`."""
    return max(1, min(LARGEST, tickets // (boxes * SHARES)), -(-tickets // MOST))


def publish_made(rendezvous: Rendezvous, made: Made) -> None:
    """Tells the others what a checkpoint of this box knows to be made. RuntimeError if the store does not answer."""
    rendezvous.store().set(f"{MADE}/{rendezvous.box}", made.text())


class Leases(threading.Thread):
    """Leases blocks for the `workers` workers of a box until none of the run's `total` tickets is left. `gone()`: the
    boxes that are gone. `made`: tickets that this box knows to be made; all boxes together know more. `joins`: the
    others have agreed on that already. `is_alone`: the store is gone.
    """

    joins = False

    def __init__(
        self, tickets: Tickets, rendezvous: Rendezvous, total: int, workers: int, incarnation: int, linger_s: float,
        gone: Callable[[], Collection[int]], made: Made,
    ) -> None:  # fmt: skip
        super().__init__(name="leases", daemon=True)
        self._tickets, self._rendezvous, self._total, self._workers = tickets, rendezvous, total, workers
        self._before, self._others = made, Made()
        self._blocks = self._blocks_left()
        self._mine: list[tuple[int, int, int]] = []  # of each own block: first ticket here, first number, count
        self._looked_at = 0.0
        self._own = f"{rendezvous.box}/{incarnation}"
        self._incarnation, self._linger_s, self._gone = incarnation, linger_s, gone
        self._store: Store | None = None
        self.is_alone = False
        self._has_given_up = False
        self._last = -1  # block
        self._done = 0
        self._idle_since: float | None = None

    def run(self) -> None:
        before, pause = self._tickets.next, Pause(POLL_S, IDLE_S)
        while self._tickets.open and self._goes_on:
            taken = self._tickets.next
            ahead = max(2 * self._workers, 4 * (taken - before))  # as many as may be taken until the next look
            before = taken
            while self._tickets.open and self._tickets.total - taken < ahead and self._lease():
                pass
            if not self.is_alone:
                self._try(self._tell_done)
                self._try(self._look)
            wait_s = pause.until(self._tickets.total, taken, time.monotonic())
            time.sleep(wait_s if self._idle_since is None else IDLE_S)
        while self._done < len(self._mine) and self._goes_on and not self.is_alone:
            time.sleep(POLL_S)  # the last tickets are in the workers' hands, and others wait for them
            self._try(self._tell_done)
        if self._has_given_up:
            self._try(self._tell_done)
            self._try(lambda: self._give_back(self._rendezvous.box, self._incarnation))

    @property
    def _goes_on(self) -> bool:
        return not (self._has_given_up or self._tickets.stopping)

    def give_up(self) -> None:
        """The workers have ended. What they have left undone, as loops of the caller's own may, is made by others."""
        self._has_given_up = True

    def made(self, next: int, again: Collection[int]) -> Made:
        """What is known to be made, in a copy of this box that has the tickets before `next` but for `again`: by this
        box exactly, and by the others as they have told in the last second.
        """
        own: list[tuple[int, int]] = []
        for ticket, number, count in list(self._mine):
            stop = min(ticket + count, next)
            left = sorted(t for t in again if ticket <= t < stop)
            starts, stops = [ticket, *(t + 1 for t in left)], [*left, stop]
            own += [(number + a - ticket, number + b - ticket) for a, b in zip(starts, stops, strict=True) if a < b]
        return self._before | self._others | Made.of(own)

    def _blocks_left(self) -> list[tuple[int, int]]:
        left = self._total - self._before.count
        return self._before.left(self._total, block_of(max(left, 1), self._rendezvous.boxes))

    def _lease(self) -> bool:
        """Leases one block more; False if there is none now."""
        block = self._try(self._next)
        if self.is_alone:
            boxes = self._rendezvous.boxes
            self._last += 1 + (self._rendezvous.box - self._last - 1) % boxes
            block = self._last
        if block is not None and block < len(self._blocks):
            first, count = self._blocks[block]
            self._mine.append((self._tickets.total, first, count))
            self._tickets.lease(first, count, more=True)
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
                    self._agree()
                    for i in range(1, self._incarnation):
                        self._give_back(self._rendezvous.box, i)
                return ask()
            except RuntimeError:
                self.is_alone = True
        return None

    def _agree(self) -> None:
        """All boxes count the same blocks: what is made before is written once."""
        store = self._client
        deadline = time.monotonic() + STORE_S
        while self.joins and not store.check([MADE]) and self._goes_on and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if store.check([MADE]):
            made = store.get(MADE)
        else:
            for box in range(self._rendezvous.boxes):
                if store.check([f"{MADE}/{box}"]):
                    self._before |= Made.of_text(store.get(f"{MADE}/{box}"))
            made = store.compare_set(MADE, "", self._before.text())
        self._before = Made.of_text(made)
        self._blocks = self._blocks_left()

    def _next(self) -> int | None:
        """A block that a box has returned, or the next one; None if there is neither."""
        store = self._client
        block = self._returned()
        if block is None and self._last + 1 < len(self._blocks):
            self._last = block = store.add(KEY, 1) - 1
        if block is None or block >= len(self._blocks):
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
        reached, done = min([self._tickets.next, *self._tickets.outstanding()]), self._done
        while done < len(self._mine) and self._mine[done][0] + self._mine[done][2] <= reached:
            done += 1
        if done > self._done:
            self._done = done
            self._client.set(f"{DONE}/{self._own}", str(done))

    def _is_over(self) -> bool:
        """Whether no block can come back any more, or this box has waited for that long enough."""
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        self._tell_done()
        self._looked_at = 0.0
        self._look()
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

    def _look(self) -> None:
        """What the others have made, about once a second."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = time.monotonic()
        boxes = range(self._rendezvous.boxes)
        known = [(box, i) for box in boxes for i in range(1, self._incarnations(box) + 1) if f"{box}/{i}" != self._own]
        done = [block for box, i in known for block in self._leased(box, i)[: self._done_by(box, i)]]
        self._others = Made.of((first, first + count) for first, count in map(self._blocks.__getitem__, done))

    def _incarnations(self, box: int) -> int:
        return self._client.add(f"{INCARNATION_KEY}/{box}", 0)

    def _left(self, box: int, i: int) -> list[int]:
        """The blocks that incarnation i of that box has neither completed nor returned."""
        if self._client.add(f"{RETURNED}/{box}/{i}", 0):
            return []
        return self._leased(box, i)[self._done_by(box, i) :]

    def _leased(self, box: int, i: int) -> list[int]:
        store, key = self._client, f"{LEASED}/{box}/{i}"
        return _blocks(store.get(key)) if store.check([key]) else []

    def _done_by(self, box: int, i: int) -> int:
        store, key = self._client, f"{DONE}/{box}/{i}"
        return int(store.get(key)) if store.check([key]) else 0

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
