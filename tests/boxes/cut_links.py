"""A link without sockets, in exact arithmetic, that is cut after any step of either side; and models that are written
all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hogwild.boxes.ledger import Ledger, Phase, Recovery

N = 2  # elements, which are copied and added one by one


class Side:
    """One box: what lies in its shared memory, and its part of an exchange as a sequence of steps."""

    def __init__(self, incarnation: int, x: list[int]) -> None:
        self.x = [Fraction(value) for value in x]
        self.own, self.peer, self.flux = ([Fraction(0)] * N for _ in range(3))
        self.words = [0, 0, 0, 0]
        self.incarnation = incarnation
        self.ledger = Ledger(self.words, incarnation)
        self.inbox: list[list[Fraction]] = []
        self.updates = [Fraction(0)] * N
        self.other: Side

    def update(self, amount: int) -> None:
        """What the workers do meanwhile."""
        for i in range(N):
            self.x[i] += amount * (i + 1)
            self.updates[i] += amount * (i + 1)

    def exchange(self) -> Iterator[str]:
        for i in range(N):
            self.own[i] = self.x[i]
            yield "copy"
        self.ledger.take(self.ledger.applied + 1)
        yield "take"
        yield from self.send()
        yield from self.receive()

    def send(self) -> Iterator[str]:
        self.other.inbox.append(list(self.own))
        yield "send"

    def receive(self) -> Iterator[str]:
        while not self.inbox:
            yield "wait"
        self.peer[:] = self.inbox.pop(0)
        yield "receive"
        self.flux[:] = [(theirs - ours) / 2 for theirs, ours in zip(self.peer, self.own, strict=True)]
        yield "flux"
        self.ledger.add()
        yield "adding"
        yield from self.add()

    def add(self) -> Iterator[str]:
        for i in range(N):
            self.x[i] += self.flux[i]  # and 0 in the same moment: Exchange.send under Access.ATOMIC
            self.flux[i] = Fraction(0)
            yield "add"
        self.ledger.apply()
        yield "apply"

    def restarted(self) -> None:
        """The process that exchanges was killed, and another one begins with what lies in memory."""
        self.inbox.clear()
        if self.ledger.phase is Phase.ADDING:
            for _ in self.add():
                pass

    def recover(self, recovery: Recovery) -> Iterator[str]:
        yield from {Recovery.SEND: self.send, Recovery.RECEIVE: self.receive}.get(recovery, lambda: iter(()))()


def pair() -> tuple[Side, Side]:
    sides = Side(11, [4, -2]), Side(22, [0, 6])
    sides[0].other, sides[1].other = sides[1], sides[0]
    meet(sides)
    return sides


def meet(sides: tuple[Side, Side]) -> list[Recovery]:
    accounts = [side.ledger.account for side in sides]
    return [sides[0].ledger.meet(accounts[1]), sides[1].ledger.meet(accounts[0])]


def advance(programs: list[Iterator[str]], steps: tuple[int, int], sides: tuple[Side, Side]) -> tuple[int, int]:
    """Runs both programs for that many steps, waits not counted, while the workers go on; returns the steps made."""
    done = [0, 0]
    is_blocked = False
    while not is_blocked:
        is_blocked = True
        for i, program in enumerate(programs):
            if done[i] == steps[i] or (step := next(program, "end")) == "end":
                continue
            sides[i].update(3 - i)
            if step != "wait":
                done[i] += 1
                is_blocked = False
    return done[0], done[1]


def total(sides: tuple[Side, Side]) -> list[Fraction]:
    """The sum of the models, without what the workers have added."""
    return [sum((side.x[i] - side.updates[i] for side in sides), Fraction(0)) for i in range(N)]
