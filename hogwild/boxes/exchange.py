"""The pair exchange of two boxes: an additive, antisymmetric flux of two snapshots. Exchange k of a link:

    own <- snapshot of x                        racing with the workers; decoded, as the peer will know it
    send it, and receive peer, at the same time
    flux <- (peer - own) / 2;  x <- x + flux    the same flux in both boxes, with opposite signs to the bit

Updates that the workers make while the snapshots travel stay in both models, and the sum of the models changes by the
workers' updates alone. It is one average of AD-PSGD (Lian et al. 2018, arXiv:1710.06952) with a box as the worker.
Deviates: AD-PSGD averages the models themselves; here it is their snapshots, which may be older.
"""

from __future__ import annotations

import threading
import time

from hogwild.boxes.ledger import Ledger, Phase, Recovery
from hogwild.boxes.link import DATA, Link
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.wire import Wire, flux_of
from hogwild.kernels import Exchange
from hogwild.kernels.control import Phase as State
from hogwild.rules import Access
from hogwild.shared.control import Gate, Rounds, Versions
from hogwild.shared.control import Ledger as Lines
from hogwild.shared.world import World

POLL_S = 1.0


class PairExchange:
    """The exchanges of a box with all others, one at a time. `busy`: is held for an exchange, and by whoever wants none
    to begin. The courier has rank `world.workers` at the gate: it enters only to add, and gives signs of life while it
    waits there, so that the parent can tell one that stands still (hogwild.boxes.handle).

    Access: the flux is added atomically also under racing, where a worker may still overwrite a part of it that it
    writes at the same moment (docs/memory-model.md); under striped and locked it takes their locks.
    """

    def __init__(self, world: World, memory: BoxMemory, wire: Wire, access: Access) -> None:
        self.memory, self.wire = memory, wire
        self.x = world.arena.tensor("x")
        self.busy = threading.Lock()
        self._rank = world.workers
        self._gate: Gate = world.control
        self._rounds: Rounds = world.control
        self._versions: Versions = world.control
        self._lines: Lines = world.control
        self._is_locked = access is Access.LOCKED
        kernel = {Access.STRIPED: Access.STRIPED, Access.LOCKED: Access.RACING}.get(access, Access.ATOMIC)
        self._exchange = Exchange(kernel, world.locks(), world.stripes)
        self._is_inside = False  # the gate

    def finish(self, ledger: Ledger) -> None:
        """Finishes what a courier that was killed was adding: the flux is 0 where it has been added."""
        if ledger.phase is Phase.ADDING:
            self.add(ledger)

    def run(self, link: Link, ledger: Ledger, j: int, theirs: int) -> None:
        """One exchange with box j, of version `theirs`. The caller holds `busy`. RuntimeError if the link is cut."""
        memory, own, peer = self.memory, self.memory.own(j), self.memory.peer(j)
        began, version = time.monotonic(), self._versions.version
        packet, room = self.wire.encode(self.x, own), self.wire.room(peer)
        ledger.take(ledger.applied + 1)
        link.swap(packet, room)
        transfer_s = time.monotonic() - began
        self._apply(ledger, j, self.wire.decode(room, own, peer, memory.flux))
        memory.took(time.monotonic() - began, transfer_s)
        size, lag = packet.numel() * packet.element_size(), abs(version - theirs)
        memory.count(
            exchanges=1,
            bytes_sent=size,
            bytes_received=size,
            overlap=self._versions.version - version,
            lag_sum=lag,
            lag_max=lag,
        )

    def recover(self, link: Link, ledger: Ledger, j: int, recovery: Recovery) -> None:
        """Does what the ledger says after the two boxes have met again."""
        own, peer = self.memory.own(j), self.memory.peer(j)
        size = own.numel() * own.element_size()
        if recovery is Recovery.SEND:
            link.send(own, DATA)
            self.memory.count(bytes_sent=size)
        elif recovery is Recovery.RECEIVE:
            link.fetch(peer, DATA)
            with self.busy:
                self._apply(ledger, j, flux_of(own, peer, self.memory.flux))
            self.memory.count(exchanges=1, bytes_received=size)

    def _apply(self, ledger: Ledger, j: int, nonfinite: int) -> None:
        """The flux is complete: adds it. One with elements that are not finite is left out, by both boxes."""
        if nonfinite:
            self.memory.flux.zero_()
            self.wire.reset(self.memory.own(j), self.memory.peer(j))
            self.memory.count(exchanges_nonfinite=1)
        ledger.add()
        self.add(ledger)

    def enter(self) -> None:
        """Enters the gate, until `leave`, or until the next flux has been added: what is written meanwhile belongs
        together, and no copy of the model is taken in between.
        """
        if self._is_inside:
            return
        self._rounds.join(self._rank, 0, POLL_S)  # alive: the parent waits for it, if it is inside the gate
        self._lines.set_phase(self._rank, State.PAUSED)
        while not self._gate.enter(self._rank, POLL_S):
            self._lines.set_phase(self._rank, State.PAUSED)
        self._lines.set_phase(self._rank, State.UPDATE)
        self._is_inside = True

    def add(self, ledger: Ledger) -> None:
        """Adds what is left of the flux to the model, inside the gate."""
        self.enter()
        if self._is_locked:
            self._versions.lock_model(self._rank)
        self._exchange.send(self.x, self.memory.flux, 1.0)
        if self._is_locked:
            self._versions.unlock_model()
        ledger.apply()
        self.leave()

    def leave(self) -> None:
        """Leaves the gate."""
        self._is_inside = False
        self._gate.exit(self._rank)
        self._rounds.leave(self._rank)
