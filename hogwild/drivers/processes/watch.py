"""Watches the worker processes of a run: the parent receives their events and acts on them."""

from __future__ import annotations

from hogwild import errors
from hogwild.drivers.base import Driver
from hogwild.drivers.processes.pool import Event, WorkerPool
from hogwild.errors import TooFewWorkersError, UsageError
from hogwild.shared.control import Tickets, Versions


class Watch:
    """Starts the workers of `pool` and replaces those that die, as far as the run allows. Reports deaths, stalls and
    gradients that are not finite, and stops the driver when the run cannot go on.
    """

    def __init__(self, driver: Driver, pool: WorkerPool) -> None:
        self.driver = driver
        self.pool = pool
        self.config = driver.config
        self.report = driver.report
        self.tickets: Tickets = driver.world.control
        self.versions: Versions = driver.world.control
        self.respawns = driver.config.respawn
        self._has_own_loop = driver.job.body is not None

    @property
    def is_complete(self) -> bool:
        """Whether all tickets are completed, or the run is stopping."""
        tickets = self.tickets
        return tickets.stopping or (tickets.next >= tickets.total and not tickets.outstanding())

    def start_worker(self, rank: int) -> None:
        if self.tickets.stopping:
            return
        try:
            self.pool.start(rank)
        except (OSError, EOFError) as error:  # no more processes or file descriptors, or the fork server was killed
            why = f"cannot start worker {rank} of {self.config.workers}: {error}"
            self.driver.stop(TooFewWorkersError, why)

    def pulse(self) -> None:
        """Acts on the events so far, without waiting."""
        self.once(0.0)

    def once(self, timeout_s: float, is_draining: bool = False) -> list[Event]:
        """Waits at most `timeout_s` seconds for an event, acts on all events and returns them; moves the progress bar.

        `is_draining`: the parent waits until no worker is inside an update.
        """
        events = self.pool.wait(timeout_s)
        for event in events:
            if event.kind == "ready":
                self.driver.lost.discard(event.rank)
                self.report.started(event.rank, event.detail)
            elif event.kind == "done":
                self.report.finished(event.detail)
            elif event.kind == "nonfinite":
                self.driver.on_nonfinite(event.rank, **event.detail)
            elif event.kind == "died":
                self._on_death(event)
        for line in self.pool.stalled(self.config.stall_timeout):
            self.report.fault("stalled", line)
        if is_draining or (not self._has_own_loop and self.tickets.next >= self.tickets.total):
            self.pool.give_up_stopped()  # all others wait for them
        self.pool.measure_memory()
        self.report.tick(len(self.pool.alive))
        return events

    def _on_death(self, event: Event) -> None:
        """Reports a death and replaces the worker. If it is not replaced, the run continues with the other workers, or
        stops if they are too few or would all fail with the same error.
        """
        self.tickets.mark_dead(event.rank)
        self.driver.lost.add(event.rank)
        error = self.pool.members[event.rank].error
        # a mistake that every worker will make
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
        self.report.fault("died", f"{event.detail}: {fate}", worker=event.rank)
        if replaced:
            self.respawns -= 1
            self.start_worker(event.rank)
        elif error is not None and hopeless:
            kind = getattr(errors, error[0], TooFewWorkersError)
            self.driver.stop(kind, f"{event.detail} (see {self.driver.directory.worker_log(event.rank)})")
        elif left < self.config.min_workers and (self._has_own_loop or not self.is_complete):
            workers = "1 worker" if left == 1 else f"{left or 'no'} workers"
            self.driver.stop(
                TooFewWorkersError,
                f"{workers} left, --min-workers is {self.config.min_workers}: stopping at update "
                f"{self.versions.version} ({event.detail})",
            )
