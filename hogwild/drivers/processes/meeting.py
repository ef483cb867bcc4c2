"""How the worker of a run of one meets its parent, so that the run repeats itself."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection

from hogwild.drivers.job.due import COUNTS, Due, Progress
from hogwild.drivers.job.job import Job
from hogwild.kernels.control import Phase
from hogwild.shared.control import Ledger, Tickets
from hogwild.shared.world import World

POLL_S = 1.0  # longest wait before Python handles signals


class Meeting:
    """Called after each update. Where an evaluation, a checkpoint or a copy is due after that update, the worker waits
    until its parent has copied the model: not one update more or less is in it. Several workers do not wait.

    `settle` finishes the update, on a GPU too.
    """

    def __init__(self, job: Job, world: World, events: Connection, settle: Callable[[], None]) -> None:
        self._control = world.control
        self._tickets: Tickets = world.control
        self._ledger: Ledger = world.control
        self._events, self._settle = events, settle
        self._due = Due(job.intervals, self._progress()) if world.workers == 1 else None

    def __call__(self) -> None:
        if self._due is None:
            return
        at, (tickets, updates, _) = self._progress(), self._due.least
        if at.tickets < tickets and at.updates < updates:
            return
        names = self._due.now(at, COUNTS)
        self._settle()
        self._due.plan(names, at)
        self._events.send(("due",))
        self._ledger.set_phase(0, Phase.PAUSED)
        while not self._tickets.stopping and not self._events.poll(POLL_S):
            self._ledger.set_phase(0, Phase.PAUSED)
        if self._events.poll():
            self._events.recv()

    def _progress(self) -> Progress:
        tickets = self._tickets
        return Progress(tickets.number(tickets.next) - len(tickets.outstanding()), self._control.version)
