"""The text of an algorithm in a courier: its exchanges with the center, or its rounds, for one box.

    1  replica, before <- snapshot of x;  TAKEN
    2  the text goes on: it calls the owners of the center (owners.py), or waits for a round (gathering.py)
    3  flux <- replica - before;  ADDING;  x <- x + flux under the run's access policy;  applied <- k

What the text writes for itself, once all answers are there, it writes inside the gate, as 3: a checkpoint has it from
before an exchange or from after it. All of it lies in shared memory. A courier that was killed in 2 begins again with
the same snapshot and the same number, one that was killed in 3 adds what is left. A box that was cut off while a round
was decided takes the center of a member. If its own snapshot was counted, and the text starts from the center, it gets
the flux of the round; else what it has done stays in its model, and so in the next round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from hogwild.algorithms.base import Algorithm, Barrier, Gradient
from hogwild.boxes.courier_view import CourierView, asked_of_owners
from hogwild.boxes.exchange import PairExchange
from hogwild.boxes.gathering import Gathering
from hogwild.boxes.header import Flag
from hogwild.boxes.ledger import Ledger, Phase
from hogwild.boxes.link import Link
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.owners import Owners, Step
from hogwild.boxes.peer import Peer
from hogwild.boxes.rendezvous import Rendezvous
from hogwild.buffers import Scope
from hogwild.kernels import copy, count_nonfinite, weighted_sum
from hogwild.shared.control import Versions
from hogwild.shared.world import World

CALLS = 1 << 32  # numbers of calls of one incarnation
BARRIERS = 2  # in a round


class Text:
    """The text of box `memory.box`, which other boxes' couriers meet through `peers`."""

    def __init__(
        self, algorithm: Algorithm, world: World, memory: BoxMemory, exchange: PairExchange, peers: Sequence[Peer],
        rendezvous: Rendezvous, versions: Versions, incarnation: int, seed: int,
    ) -> None:  # fmt: skip
        self._algorithm, self._world, self._memory, self._exchange = algorithm, world, memory, exchange
        self._peers, self._versions, self._incarnation = peers, versions, incarnation
        self._box, boxes = memory.box, memory.boxes
        self._seed = seed
        self.view = self._view_of(self._box)
        self.ledger = Ledger(memory.ledger(self._box), incarnation)
        self._has_rounds = bool(algorithm.barriers_per_round)
        self._starts_from_center = algorithm.result() == "replica" and algorithm.graph() is None  # after a round
        sent = "sent" if "sent" in algorithm.keeps() else "replica"
        others = {j: world.arena.tensor(sent, j) for j in range(boxes) if j != self._box}
        self._gathering = Gathering(peers, rendezvous, world.arena.tensor(sent, self._box), others)
        answers = [memory.flux if j == self._box else memory.own(j) for j in range(boxes)]
        steps: list[Step] = []
        if not self._has_rounds:
            step = asked_of_owners(algorithm, self._view_of(self._box))
            steps = [partial(step, self._view_of(j)) for j in range(boxes)]
        self._owners = Owners(
            world, self._box, peers, self.view.fragments(boxes), answers, memory.calls, steps, exchange.enter
        )
        self._waits = False  # for a round
        self._missed: bool | None = None  # the others have made this round: whether the snapshot of this box counted
        self._began, self._began_at = versions.version, time.monotonic()
        self.is_lost = False  # the store is gone, and there are no more rounds

    @property
    def is_busy(self) -> bool:
        return self._waits or self._missed is not None

    def begin(self, *, joins: bool) -> None:
        """The box begins, or its next courier goes on. `joins`: it takes the center of a living box."""
        if joins:
            self._take_center()
            copy(self.view.replica, self._exchange.x)
        self._restart()
        if self.ledger.phase is Phase.TAKEN:
            copy(self.view.replica, self._memory.before)
            self._go_on()

    def exchange(self) -> None:
        """The box has made its period of updates, and is in no exchange."""
        copy(self._memory.before, self._exchange.x)
        if count_nonfinite([self._memory.before]):  # it reaches nobody: this box has not moved since its last exchange
            self._memory.count(exchanges_nonfinite=1)
            copy(self._memory.before, self.view.replica)
        copy(self.view.replica, self._memory.before)
        self.ledger.take(self.ledger.applied + 1)
        self._began, self._began_at = self._versions.version, time.monotonic()
        self._go_on()

    def poll(self) -> None:
        """Goes on if the round is there that the box waits for."""
        if self._missed is not None:
            self._miss(was_counted=self._missed)
        if not self._waits or self.is_lost:
            return
        try:
            found = self._gathering.poll()
        except RuntimeError:
            self.is_lost, self._waits = True, False
            return
        if found is None:
            return
        self._waits = False
        members, has_all = found
        if self._box in members and has_all:
            self._exchange.enter()
            with self._owners.lock:
                self.view.rounds.members = members
                self._resume(None)
        else:
            self._missed = self._box in members

    def serve(self, link: Link, box: int, call: int) -> None:
        """A call of another box to the owner of a part."""
        self._owners.serve(link, box, call)

    def send_center(self, send: Callable[[Tensor], None]) -> None:
        """The center, for a box that joins."""
        with self._owners.lock:
            kept = [tensor.clone() for tensor in self._center()]
        for tensor in kept:
            send(tensor)

    # ---- the text -------------------------------------------------------------------------------------------------

    def _view_of(self, box: int) -> CourierView:
        return CourierView(self._world, box, self._algorithm, self._seed, lambda: 0.0)

    def _restart(self) -> None:
        self.view = self._view_of(self._box)
        self.view.owners = self._owners
        self.view.answered = []  # nothing is delivered before the first exchange
        self._text = self._algorithm.worker(self.view)
        if not self._has_rounds and not self.view.steps:
            self.view.deliver = lambda: None  # all boxes begin with the center
        assert isinstance(next(self._text), Gradient), "a text first asks for a gradient"
        self.view.deliver = self.view._deliver

    def _go_on(self) -> None:
        """The text's gradient is there."""
        self.view.answered = None
        self._owners.number = self._incarnation * CALLS + self.ledger.applied + 1
        self.view.rounds.generation = BARRIERS * self.ledger.applied
        self._resume([])

    def _resume(self, answer: object) -> None:
        """Up to the first barrier of a round, or to the text's next gradient."""
        request = self._text.send(answer)
        while isinstance(request, Barrier):
            self.view.rounds.generation += 1
            if self.view.rounds.generation % BARRIERS:  # the first of the round; at the second all have what they need
                self._waits = True
                self._gathering.begin(self.ledger.applied + 1)
                return
            request = self._text.send(None)
        self._apply()

    def _apply(self) -> None:
        memory, version = self._memory, self._versions.version
        weighted_sum(memory.flux, [self.view.replica, memory.before], [1.0, -1.0])
        if count_nonfinite([memory.flux]):
            memory.flux.zero_()
            memory.count(exchanges_nonfinite=1)
        self.ledger.add()
        self._exchange.add(self.ledger)
        took_s = time.monotonic() - self._began_at
        memory.took(took_s, took_s)
        memory.count(exchanges=1, overlap=version - self._began)

    # ---- joining --------------------------------------------------------------------------------------------------

    def _center(self) -> list[Tensor]:
        """What a box takes from another one: the center, and the number of rounds."""
        kept = self._algorithm.keeps()
        shared = [self._world.arena.tensor(name) for name in kept if kept[name].scope is Scope.SHARED]
        return [*shared, torch.tensor([self.ledger.applied])]

    def _take_center(self, at_least: int = 0) -> bool:
        """Takes the center of a box that has it, and has made so many rounds. False if there is none now."""
        for peer in filter(_has_center, self._peers):
            rooms = [torch.empty_like(tensor) for tensor in self._center()]
            if peer.take_center(rooms) and int(rooms[-1]) >= at_least:
                self._exchange.enter()
                with self._owners.lock:
                    for tensor, room in zip(self._center()[:-1], rooms[:-1], strict=True):
                        tensor.copy_(room)
                if self._has_rounds:
                    self.ledger.skip_to(int(rooms[-1]))
                if "base" in self._algorithm.keeps():
                    self._world.arena.tensor("base", self._box).copy_(self._exchange.x)
                self._exchange.leave()
                return True
        return False

    def _miss(self, *, was_counted: bool) -> None:
        """The others have made this round without this box, or with its snapshot: takes their center, once they have
        it.
        """
        number = self.ledger.applied + 1
        if any(_has_begun(peer) for peer in self._peers):
            if not self._take_center(at_least=number):
                return
            if was_counted and self._starts_from_center:
                applied = self.ledger.applied
                self.ledger.skip_to(applied - 1)
                self.ledger.take(applied)
                copy(self.view.replica, self._world.arena.tensor("x"))
                self._apply()
        else:
            self.ledger.skip_to(self.ledger.applied)  # nobody is left: this box makes the round again, alone
        self._missed = None
        self._restart()


def _has_begun(peer: Peer) -> bool:
    return peer.is_up and Flag.BEGUN in peer.seen.flags


def _has_center(peer: Peer) -> bool:
    """That of the run: it has begun, or is resumed."""
    return peer.is_up and bool((Flag.BEGUN | Flag.RESUMED) & peer.seen.flags)
