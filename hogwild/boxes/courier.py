"""The courier: the one process of a box that talks to other boxes. All that it owns lies in shared memory.

Whatever happens to it, the workers of its box go on, and the parent starts the next one. Its main thread begins an
exchange with a random box whenever the workers have made `between_period` updates; a thread per box answers that box.
Periods that pass during an exchange are dropped and counted, and never made up for.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hogwild.boxes.exchange import PairExchange
from hogwild.boxes.header import Facts, Flag, Part
from hogwild.boxes.ledger import Ledger
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.pacing import PAUSES_S, Pacing
from hogwild.boxes.peer import Peer
from hogwild.boxes.rendezvous import Rendezvous
from hogwild.boxes.text import Text
from hogwild.boxes.wire import WIRES
from hogwild.config import Config
from hogwild.config.between import outer
from hogwild.drivers.processes.context import WorkerContext
from hogwild.kernels import weighted_sum
from hogwild.rules import Access
from hogwild.shared.control import Tickets, Versions
from hogwild.shared.world import World

POLL_S = PAUSES_S[0]
TOGETHER_S = 60.0  # how long a box waits for the others to start with it
BEGUN = "begun"  # key of the store


@dataclass
class CourierContext:
    """`process`: as that of a worker. `incarnation`: how often this box has been started. `has_begun`: its workers have
    started, under an earlier courier. `text`: the world of the text between boxes; None for pairs. `is_resumed`: the
    model is that of a checkpoint of the run.
    """

    process: WorkerContext
    config: Config
    rendezvous: Rendezvous
    memory: BoxMemory
    facts: Facts
    incarnation: int
    has_begun: bool
    text: World | None
    is_resumed: bool


class Courier:
    """The main thread. Events that it sends to the parent: started (how: together, alone, or late, and the box whose
    model was taken, if any), ready and finished (so are all others), link (box, event, text), mean (boxes, spread).
    """

    def __init__(self, context: CourierContext) -> None:
        config, world = context.config, context.process.world
        self.context, self.memory = context, context.memory
        self.events = context.process.events
        self.facts, self.flags = context.facts, Flag.BEGUN if context.has_begun else Flag(0)
        self.flags |= Flag.RESUMED if context.is_resumed else Flag(0)
        self.tickets: Tickets = world.control
        self.versions: Versions = world.control
        self.x = world.arena.tensor("x")
        wire = WIRES[config.between_wire](self.x.numel())
        self.exchange = PairExchange(world, self.memory, wire, Access(config.access))
        others = [j for j in range(self.memory.boxes) if j != self.memory.box]
        ledgers = {j: Ledger(self.memory.ledger(j), context.incarnation) for j in others}
        for ledger in ledgers.values():
            self.exchange.finish(ledger)
        self.peers = [
            Peer(j, context.rendezvous, self, self.exchange, ledgers[j], config.between_timeout, self._teller(j))
            for j in others
        ]
        self._text: Text | None = None
        if context.text is not None:
            algorithm = outer(str(config.between), config.between_options)
            self._text = Text(
                algorithm, context.text, self.memory, self.exchange, self.peers, context.rendezvous, self.versions,
                context.incarnation, config.seed,
            )  # fmt: skip
            self.exchange.finish(self._text.ledger)
        self._joins = False
        self._telling = threading.Lock()
        self._awaited = Flag(0)  # the parent is told when all boxes have shown it
        self._pacing: Pacing | None = None  # None: this box begins no exchange

    @property
    def text(self) -> Text | None:
        return self._text

    def run(self) -> None:
        """Until the parent says end."""
        if not self.context.has_begun:
            self.exchange.busy.acquire()  # nobody averages with a model that is not the run's yet
        for peer in self.peers:
            peer.start()
        if not self.context.has_begun:
            how, source = self._start()
            self._joins = source is not None
            self.exchange.busy.release()
            self._tell("started", how, source)
        else:
            self._begin()
        finishes = False
        while True:
            if self._text is not None:
                self._text.poll()
            if finishes and not (self._text is not None and self._text.is_busy):
                finishes = False
                self._show(Flag.FINISHED)
                self._awaited = Flag.FINISHED
            if self.events.poll(self._pause()):
                command, *detail = self.events.recv()
                if command == "begin":
                    self._begin()
                    with contextlib.suppress(RuntimeError):
                        self.context.rendezvous.store().set(BEGUN, "1")
                elif command == "ready":
                    self._show(Flag.READY)
                    self._awaited = Flag.READY
                elif command == "finish":
                    self._pacing = None
                    finishes = True
                elif command == "mean":
                    self._tell("mean", *self._mean())
                elif command == "end":
                    self._end(*detail)
                    return
            if self._pacing is not None and self.versions.version >= self._pacing.due:
                self._exchange(self._pacing)
            if self._awaited and self._all(self._awaited):
                self._tell("ready" if self._awaited is Flag.READY else "finished")
                self._awaited = Flag(0)

    def _pause(self) -> float:
        """How long the main thread may wait for the parent, in seconds: little if it awaits something else too."""
        if self._awaited or self._pacing is None or (self._text is not None and self._text.is_busy):
            return POLL_S
        return self._pacing.pause(self.versions.version, time.monotonic())

    # ---- beginning ------------------------------------------------------------------------------------------------

    def _start(self) -> tuple[str, int | None]:
        """Waits for the others, or takes the model of a box that has begun; without a checkpoint of its own, also that
        of one that has one. Returns how this box starts, and the box whose model it has.
        """
        began = time.monotonic()
        is_late = self.context.incarnation > 1 or self._has_begun()
        patience_s = self.context.config.between_timeout if is_late else TOGETHER_S
        while not self.tickets.stopping:
            if (source := self._take_model(Flag.BEGUN)) is not None:
                return "late", source
            is_complete = all(peer.is_up for peer in self.peers)
            if is_complete or time.monotonic() - began > patience_s:
                source = None if self.context.is_resumed else self._take_model(Flag.RESUMED)
                return "together" if is_complete else "alone", source
            time.sleep(POLL_S)
        return "alone", None

    def _take_model(self, flag: Flag) -> int | None:
        """Takes the model of a box that shows that flag. Returns which; None if there is none."""
        for peer in self.peers:
            if peer.is_up and flag in peer.seen.flags and peer.fetch(self.memory.flux):
                self.x.copy_(self.memory.flux)
                self.memory.flux.zero_()
                return peer.number
        return None

    def _has_begun(self) -> bool:
        """Whether some box of this run has."""
        with contextlib.suppress(RuntimeError):
            return bool(self.context.rendezvous.store().check([BEGUN]))
        return False

    def _begin(self) -> None:
        config = self.context.config
        if self._text is not None:
            self._text.begin(joins=self._joins)
            self._joins = False
        self._pacing = Pacing(config.between_period, config.seed, self.memory.box, self.versions.version)
        self._show(Flag.BEGUN)

    # ---- exchanging -----------------------------------------------------------------------------------------------

    def _exchange(self, pacing: Pacing) -> None:
        """Begins an exchange: with a random box whose link is up, if this box is in none; or that of its text."""
        if self._text is not None:
            if not (self._text.is_busy or self._text.is_lost):
                self._text.exchange()
                self.memory.count(exchanges_late=pacing.end(self.versions.version))
            return
        up = [peer for peer in self.peers if peer.is_up and Flag.BEGUN in peer.seen.flags]
        if up and not pacing.draw(up).begin():
            self.memory.count(exchanges_refused=1)
        late = pacing.end(self.versions.version)
        if up:
            self.memory.count(exchanges_late=late)

    # ---- ending ---------------------------------------------------------------------------------------------------

    def _mean(self) -> tuple[list[int], float]:
        """The mean of all boxes that have a link, into the flux, in the order of boxes: the same in all of them.
        Their statistics go into the memory. Returns these boxes and sqrt(sum_b ||x_b - mean||^2 / (boxes n)).
        """
        models: dict[int, Tensor] = {self.memory.box: self.x}
        for peer in self.peers:
            j = peer.number
            if (
                peer.is_up
                and peer.fetch(self.memory.peer(j), Part.MODEL_AT_REST)
                and peer.fetch(self.memory.statistics(j), Part.STATISTICS)
            ):
                models[j] = self.memory.peer(j)
        parts = [models[number] for number in sorted(models)]
        weighted_sum(self.memory.flux, parts, [1 / len(parts)] * len(parts))
        squared = sum(float((part - self.memory.flux).double().square().sum()) for part in parts)
        self._show(Flag.AVERAGED)
        deadline = time.monotonic() + self.context.config.between_timeout
        while not self._all(Flag.AVERAGED) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return sorted(models), math.sqrt(squared / (len(parts) * self.x.numel()))

    def _end(self, is_stopped: bool) -> None:
        self.flags |= Flag.STOPPED if is_stopped else Flag(0)
        for peer in self.peers:
            peer.leave()

    # ---- telling --------------------------------------------------------------------------------------------------

    def _show(self, flag: Flag) -> None:
        self.flags |= flag
        for peer in self.peers:
            peer.announce()

    def _all(self, flag: Flag) -> bool:
        """Whether all boxes have shown that flag, but for those that are gone."""
        return all(flag in peer.seen.flags if peer.is_up else peer.is_gone for peer in self.peers)

    def _tell(self, event: str, *detail: object) -> None:
        with self._telling:
            self.events.send((event, *detail))

    def _teller(self, number: int) -> Any:
        return lambda event, text: self._tell("link", number, event, text)


def main(context: CourierContext) -> None:
    """The entry point of the process."""
    context.process.enter()
    torch.set_grad_enabled(False)
    try:
        Courier(context).run()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # threads that wait in gloo cannot be ended
