"""Watches the worker processes of a run: the parent receives their events and acts on them."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

from hogwild import errors, own_code
from hogwild.drivers.base import Driver
from hogwild.drivers.interrupts import SIGNALS
from hogwild.drivers.processes.echo import Echo
from hogwild.drivers.processes.pool import Event, WorkerPool
from hogwild.drivers.processes.stalls import Stalls
from hogwild.errors import TooFewWorkersError, UsageError
from hogwild.shared.control import Tickets, Versions

OVERTAKEN_S = 0.5  # how long a finished run waits for a worker whose batch another one has completed
LOCK_S = 0.1  # how long the parent waits for a lock before it looks at everything else


class Watch:
    """Starts the workers of `pool` and replaces those that die, as far as the run allows. Reports deaths, stalls and
    gradients that are not finite, and stops the driver when the run cannot continue. `on_due`: a worker waits for the
    parent.
    """

    def __init__(self, driver: Driver, pool: WorkerPool, on_due: Callable[[int], object]) -> None:
        self.driver = driver
        self.pool = pool
        self.config = driver.config
        self.report = driver.report
        self.tickets: Tickets = driver.world.control
        self.versions: Versions = driver.world.control
        self.respawns = driver.config.respawn
        self.on_due = on_due
        self._has_own_loop = driver.job.body is not None
        kill_s = None if self._has_own_loop else self.config.kill_stalled  # a loop of one's own may take its time
        self.stalls = Stalls(pool, self.config.stall_timeout, kill_s)
        self.returns: dict[int, Any] = {}  # by rank, what the callers' loops returned
        shows = self._has_own_loop and driver.console.shows_prints
        self.echo = Echo(pool.logs, range(self.config.workers), driver.console.echo) if shows else None
        self._complete_at: float | None = None  # when all tickets were completed
        self._dead: list[Event] = []  # deaths that were not acted on yet
        self._servers: set[int] = set()  # the fork servers with deaths that were reported

    @property
    def is_complete(self) -> bool:
        """Whether all tickets are completed, or the run is stopping. A loop of one's own is over when it returns."""
        tickets = self.tickets
        is_assigned = tickets.next >= tickets.total and not tickets.open
        return tickets.stopping or self._has_own_loop or (is_assigned and not tickets.outstanding())

    def start_worker(self, rank: int) -> None:
        if self.tickets.stopping:
            return
        try:
            self.pool.start(rank)
        except TooFewWorkersError as error:
            self.driver.stop(TooFewWorkersError, str(error))

    def pulse(self) -> None:
        """Acts on the events so far, without waiting."""
        self.once(0.0)

    def once(self, timeout_s: float) -> list[Event]:
        """Waits at most `timeout_s` seconds for an event, acts on all events and returns them; moves the bar."""
        events = self.pool.wait(timeout_s)
        for event in events:
            if event.kind == "ready":
                self.driver.lost.discard(event.rank)
                self.report.started(event.rank, event.detail)
            elif event.kind == "done":
                self.report.finished(event.detail)
            elif event.kind == "nonfinite":
                self.driver.faults.nonfinite(event.rank, **event.detail)
            elif event.kind == "returned":
                self._returned(event)
            elif event.kind == "metrics":
                self.report.lines.add_metrics(event.detail)
            elif event.kind == "due":
                self.on_due(event.rank)
            elif event.kind == "layers":
                self.driver.count_layers(*event.detail)
            elif event.kind == "samples":
                bad, ticket = event.detail
                self.driver.faults.bad_samples(bad, ticket, event.rank)
            elif event.kind == "died":
                self._dead.append(event)
        self._dead = [event for event in self._dead if not self._on_death(event)]
        self._dismiss_overtaken()
        for stall in self.stalls.check():
            tell = self.report.fault_ended if stall.ended else self.report.fault
            tell("stalled", stall.line, worker=stall.rank)
        self.driver.attend()
        if self.echo is not None:
            self.echo.follow()
        self.pool.measure_memory()
        self.report.tick(len(self.pool.alive))
        return events

    def _dismiss_overtaken(self) -> None:
        """Ends the workers that still compute a batch which another one has completed, if nothing else is left."""
        if not self.is_complete:
            return
        self._complete_at = self._complete_at or time.monotonic()
        if time.monotonic() - self._complete_at > OVERTAKEN_S:
            for rank in self.pool.working:
                if self.tickets.overtaken(rank):
                    self.pool.dismiss(rank)
                    self.report.overtaken(rank)

    def _returned(self, event: Event) -> None:
        """What a loop returned. Some values can be pickled but not read again, as an exception with two arguments."""
        try:
            self.returns[event.rank] = pickle.loads(event.detail)
        except Exception as error:
            what = f"worker {event.rank} returned a value that cannot be read in the parent ({own_code.told(error)})"
            self.driver.stop(UsageError, what, error)

    def _on_death(self, event: Event) -> bool:
        """Reports a death and replaces the worker. If it is not replaced, the run continues with the other workers, or
        stops if they are too few or would all fail with the same error. The workers of a fork server that has died are
        one fault. Those that a signal ends while the run is interrupted are none: it came to all processes. False, and
        nothing is done yet, while another worker holds the lock of the tickets.
        """
        if not self.tickets.mark_dead(event.rank, LOCK_S):
            return False
        self.driver.lost.add(event.rank)
        error = self.pool.members[event.rank].error
        # Every worker will meet the same error.
        hopeless = error is not None and (self.versions.version == 0 or error[0] == UsageError.__name__)
        replaced = self.respawns > 0 and not hopeless and not self.tickets.stopping
        left = self.pool.left + int(replaced)
        if replaced:
            fate = "replaced"
        elif hopeless or not left:
            fate = "stopping"
        else:
            work = "lost" if self._has_own_loop else "assigned again"
            fate = f"{left} of {self.config.workers} continue, its work is {work}"
        if self.driver.is_interrupted and -event.code in SIGNALS:
            pass
        elif event.server is None:
            self.report.fault("died", f"{event.detail}: {fate}", worker=event.rank)
        elif event.server not in self._servers:
            self._servers.add(event.server)
            self.report.fault("died", event.detail)
        if not replaced:
            self.report.left(event.rank)
        if replaced:
            self.respawns -= 1
            self.start_worker(event.rank)
        elif error is not None and hopeless:
            kind = getattr(errors, error[0], TooFewWorkersError)
            self.driver.stop(kind, event.detail)
        elif left < self.config.min_workers and (self._has_own_loop or not self.is_complete):
            workers = "1 worker" if left == 1 else f"{left or 'no'} workers"
            self.driver.stop(
                TooFewWorkersError,
                f"{workers} left, --min-workers is {self.config.min_workers}: stopping at update "
                f"{self.versions.version} ({event.detail})",
            )
        return True
