"""The process driver: worker processes on one shared model; the parent process watches, evaluates and checkpoints.

The parent computes no gradient. It starts the workers and assigns the tickets; while the workers run, it evaluates and
saves consistent copies of the model. It is the only writer of the run directory.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Sequence

import torch

from hogwild.drivers.base import Driver
from hogwild.drivers.checkpoints.state import State, let_go
from hogwild.drivers.instruments.recording import SCHEDULE, head, merge
from hogwild.drivers.job.due import Progress
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.placement import place
from hogwild.drivers.job.shared_split import SharedSplit
from hogwild.drivers.processes.loader_pool import LoaderPool
from hogwild.drivers.processes.pool import WorkerPool
from hogwild.drivers.processes.watch import Watch
from hogwild.errors import TooFewWorkersError, UsageError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.control import Gate, Tickets, Versions
from hogwild.shared.devices import finish
from hogwild.shared.placement import Placement

TICK_S = 0.05
DRAIN_TICK_S = 0.0005
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0


class Trainer(Driver):
    """One run of worker processes."""

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        if multiprocessing.current_process().daemon:
            raise UsageError(
                "this is a daemonic process, as those of multiprocessing.Pool are, and such a one may start no "
                "workers: use concurrent.futures.ProcessPoolExecutor or threads, or clock= to simulate them"
            )
        super().__init__(job, run, console)
        self.module.to(self.world.arena.device)  # it is evaluated where the workers compute
        self.tickets: Tickets = self.world.control
        self.versions: Versions = self.world.control
        self.gate: Gate = self.world.control
        self.loaders = LoaderPool(job, self.world, run.workers, lambda line: self.report.fault("loader_died", line))
        self.stopped_at = math.inf
        self.meets = self.config.workers == 1  # the worker comes to the parent when something is due
        self._waiting: int | None = None  # the rank that has come

    def place(self) -> torch.device | Placement:
        return place(self.config, self.job.algorithm, self.console)

    def train(self) -> None:
        places = [self.world.arena.device_of(rank) for rank in range(self.config.workers)]
        split = SharedSplit(self.job.data.train, *places)
        for where in set(places):
            finish(where)  # the copy must be complete before workers start
        self._rest()
        workers = WorkerPool(self.job, self.world, split, self.directory.workers, self.loaders.slots)
        with self.loaders, workers as self.pool:
            self.loaders.start(self.pool.payload)
            self.watch = Watch(self, self.pool, self.on_due)
            self.start_workers()
            self._go_on()
        if self.watch.echo is not None:
            self.watch.echo.finish()
        self.returns = [self.watch.returns.get(rank) for rank in range(self.config.workers)]
        if self.config.record:
            has_lost = bool(self.lost) or self.watch.respawns < self.config.respawn
            facts = head(self.config, lost=has_lost, resumed=self.saved is not None)
            merge(self.directory.workers, self.directory.path / SCHEDULE, facts)

    def start_workers(self) -> None:
        """Waits until all workers are ready behind the closed gate, so that they start together."""
        self.gate.close_gate(0)
        for rank in range(self.config.workers):
            self.watch.start_worker(rank)
        waiting, deadline = set(range(self.config.workers)), time.monotonic() + START_TIMEOUT_S
        while waiting and not self.tickets.stopping:
            waiting -= {event.rank for event in self.watch.once(TICK_S) if event.kind in ("ready", "died")}
            if time.monotonic() > deadline:
                late = ", ".join(map(str, sorted(waiting)))
                self.stop(TooFewWorkersError, f"worker {late} did not start within {START_TIMEOUT_S:.0f} s")
        self.meet_others()
        self.report.begin()
        self.gate.open_gate()

    def attend(self) -> None:
        self.loaders.check()

    def meet_others(self) -> None:
        """Called when all workers are ready: the place to wait for what must start with them. Nothing here."""

    def _go_on(self) -> None:
        """Watches the workers until all have ended."""
        while self.pool.working or not self.watch.is_complete:
            if not self.pool.alive:
                self.stop(TooFewWorkersError, f"no worker is left: stopping at update {self.versions.version}")
                break
            self.watch.once(TICK_S)
            self._do_what_is_due()
            self.audience.hear_faults()
            if self._is_overdue():
                break
        while self.pool.alive and not self._is_overdue():  # done; the processes are about to end
            self.watch.once(TICK_S)

    # ---- stopping -------------------------------------------------------------------------------------------------

    def on_signal(self, name: str) -> None:
        self.end_soon()
        super().on_signal(name)

    def end_soon(self) -> None:
        self.stopped_at = min(self.stopped_at, time.monotonic())
        self.tickets.stop()

    def _is_overdue(self) -> bool:
        """Whether a worker is still running when its time after the stop is over; leaving the pool then kills it."""
        return time.monotonic() - self.stopped_at > STOP_TIMEOUT_S

    # ---- evaluating and saving ------------------------------------------------------------------------------------

    def _copy_between_updates(self, why: Sequence[str]) -> State | None:
        """Closes the gate, waits until no worker is inside an update, copies the state and opens the gate. `why`: what
        the copy is for.

        None if the run must end and a worker does not finish its update. The one worker that waits has finished its
        round, and would not come to the end of another.
        """
        now = self.report.journal.elapsed_s
        self.gate.close_gate(0 if self._waiting is not None else self.job.algorithm.barriers_per_round)
        closed = drained = now()
        try:
            while not self.gate.drained():
                if self._is_overdue():
                    return None
                self.watch.once(DRAIN_TICK_S)
            drained = now()
            return self.copy()
        finally:
            self.gate.open_gate()
            self.report.passed_gate(why, closed, drained)

    def on_due(self, rank: int) -> None:
        """The one worker waits, because something is due."""
        self._waiting = rank

    def _do_what_is_due(self) -> None:
        """Evaluates, checkpoints and measures the edge if one of these is due, while the workers continue.

        A run of one worker repeats itself: its worker comes after exactly the update at which something is due, and
        goes on once the model is copied.
        """
        at = self._progress()
        comes = self.meets and self._waiting is None  # the worker will come
        names = self.due.now(at, ("seconds",) if comes else Progress._fields)
        measures = self.report.edge.is_due(self.versions.version)
        why = [*names, *(["edge"] if measures else [])]
        state = self._copy_between_updates(why) if why and not self._is_over(at) else None
        if self._waiting is not None:
            self.pool.send_on(self._waiting)
            self._waiting = None
        if state is None:
            return
        self.serve(names, state, self.watch.pulse)
        if measures:
            self.measure_edge(state, self.watch.pulse)
        self._rest()
        self.due.plan(names, at if self.meets else self._progress())

    def _rest(self) -> None:
        """The parent's own model takes no memory until the next copy, unless callbacks may look at it."""
        if not self.job.callbacks and self.world.arena.device.type == "cpu":
            let_go(self.module)

    def _is_over(self, at: Progress) -> bool:
        return self.tickets.stopping or at.tickets >= self.job.total_tickets

    def _progress(self) -> Progress:
        return Progress(self.report.counts.completed, self.versions.version, time.monotonic() - self.report.began)
