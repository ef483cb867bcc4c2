"""The process driver: real workers on one shared model, and a parent that watches, evaluates and keeps the books.

The parent computes no gradient. It starts the crew, deals tickets, names who dies or stalls, evaluates and checkpoints
from consistent copies while the workers run, and is the only writer of the run directory.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from hogwild import errors
from hogwild.config import Config
from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import Score, evaluate
from hogwild.drivers.instruments.recording import SCHEDULE, merge
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.interrupts import Interrupts
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.model import model_fn, remedy, shared_buffers
from hogwild.drivers.job.placement import place
from hogwild.drivers.job.shared_split import SharedSplit
from hogwild.drivers.processes.pool import Crew, Event
from hogwild.errors import DivergedError, HogwildError, Interrupted, TooFewWorkersError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.devices import finish, one_thread
from hogwild.shared.world import World
from hogwild.tasks import load

TICK_S = 0.05
DRAIN_TICK_S = 0.0005
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 60.0


def train(config: Config, run: RunDirectory, console: Console) -> dict[str, object]:
    """Trains what `config` names; returns the summary.

    Raises a HogwildError, with `.summary`, if the run ends badly.
    """
    job = make_job(config, load(config.data, config.data_dir), model_fn(config))
    return Trainer(job, run, console).run()


class Trainer:
    """One run from the first worker to the summary."""

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        self.job, self.config, self.directory, self.console = job, job.config, run, console
        self.module = job.build()
        self.checkpoints = Checkpoints(job, self.module, run)
        self.saved = saved = self.checkpoints.resume(console)
        self.world = World.create(
            self.module,
            job.algorithm.keeps(),
            self.config.workers,
            dtype=getattr(torch, self.config.dtype),
            device=place(self.config, job.algorithm, console),
            lines=len(saved.again) if saved else 0,
            shared_buffers=shared_buffers(self.config, self.module),
        )
        self.module.to(self.world.arena.device)  # it is evaluated where the workers compute
        self.control = self.world.control
        if saved:
            saved.write_to(self.world)
        self.control.deal(saved.next if saved else 0, job.total_tickets, saved.again if saved else [])
        self.report = Report(job, self.world, run, console)
        self.respawns = self.config.respawn
        self.lost: set[int] = set()  # workers that died and are not replaced
        self.stopped: tuple[type[HogwildError], str] | None = None  # why the run must end before its time
        self.stopped_at = float("inf")
        self._plan(saved.next if saved else 0)

    @one_thread()
    def run(self) -> dict[str, object]:
        """Trains to the end, or to whatever ends it; returns the summary."""
        places = [self.world.arena.device_of(rank) for rank in range(self.config.workers)]
        split = SharedSplit(self.job.data.train, *places)
        for where in set(places):
            finish(where)  # what the workers find is there
        with Interrupts(self._on_signal) as interrupts:
            with Crew(self.job, self.world, split, self.directory.workers) as self.crew:
                self._start()
                self._go_on()
            return self._finish(interrupts)

    def _go_on(self) -> None:
        """Watches the crew to its end."""
        while self.crew.working or not self._is_complete():
            if not self.crew.alive:
                self._stop(TooFewWorkersError, f"no worker is left: stopping at update {self.control.version}")
                break
            self._watch(TICK_S)
            self._do_what_is_due()
            if self._is_overdue():
                break
        while self.crew.alive and not self._is_overdue():  # done, and on their way out
            self._watch(TICK_S)

    # ---- watching -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Lines all workers up behind the closed gate, so that they set off together."""
        self.control.close_gate(0)
        for rank in range(self.config.workers):
            self._start_worker(rank)
        waiting, deadline = set(range(self.config.workers)), time.monotonic() + START_TIMEOUT_S
        while waiting and not self.control.stopping:
            waiting -= {event.rank for event in self._watch(TICK_S) if event.kind in ("ready", "died")}
            if time.monotonic() > deadline:
                late = ", ".join(map(str, sorted(waiting)))
                self._stop(TooFewWorkersError, f"worker {late} did not start within {START_TIMEOUT_S:.0f} s")
        self.report.begin()
        self.control.open_gate()

    def _start_worker(self, rank: int) -> None:
        if self.control.stopping:
            return
        try:
            self.crew.start(rank)
        except (OSError, EOFError) as error:  # out of processes or of file descriptors; the fork server was killed
            self._stop(TooFewWorkersError, f"cannot start worker {rank} of {self.config.workers}: {error}")

    def _watch(self, timeout_s: float, is_draining: bool = False) -> list[Event]:
        """Hears the workers and acts on it: deaths, divergence, stalls, progress."""
        events = self.crew.wait(timeout_s)
        for event in events:
            if event.kind == "ready":
                self.lost.discard(event.rank)
                self.report.started(event.rank, event.detail)
            elif event.kind == "done":
                self.report.finished(event.detail)
            elif event.kind == "nonfinite":
                self._on_nonfinite(event)
            elif event.kind == "died":
                self._on_death(event)
        for line in self.crew.stalled(self.config.stall_timeout):
            self.report.fault("stalled", line)
        if is_draining or (self.job.body is None and self.control.next >= self.control.total):
            self.crew.give_up_stopped()  # all others wait for them
        self.crew.measure_memory()
        self.report.tick(len(self.crew.alive))
        return events

    def _on_death(self, event: Event) -> None:
        self.control.bury(event.rank)
        self.lost.add(event.rank)
        error = self.crew.members[event.rank].error
        hopeless = error is not None and self.control.version == 0  # a mistake that every worker will make
        replaced = self.respawns > 0 and not hopeless and not self.control.stopping
        left = self.crew.left + int(replaced)
        is_own_loop = self.job.body is not None
        if replaced:
            fate = "replaced"
        elif hopeless or not left:
            fate = "stopping"
        else:
            fate = f"{left} of {self.config.workers} continue, its work is {'lost' if is_own_loop else 'dealt again'}"
        self.report.fault("died", f"{event.detail}: {fate}", worker=event.rank)
        if replaced:
            self.respawns -= 1
            self._start_worker(event.rank)
        elif error is not None and hopeless:
            kind = getattr(errors, error[0], TooFewWorkersError)
            self._stop(kind, f"{event.detail} (see {self.directory.worker_log(event.rank)})")
        elif left < self.config.min_workers and (is_own_loop or not self._is_complete()):
            workers = "1 worker" if left == 1 else f"{left or 'no'} workers"
            self._stop(
                TooFewWorkersError,
                f"{workers} left, --min-workers is {self.config.min_workers}: stopping at update "
                f"{self.control.version} ({event.detail})",
            )

    def _on_nonfinite(self, event: Event) -> None:
        facts, stats = event.detail, self.control.stats(event.rank)
        delay = stats["delay_sum"] / max(stats["pushes"], 1)
        line = (
            f"worker {event.rank}: loss is {facts['loss']:.4g} at update {facts['version']} (mean delay {delay:.1f}, "
            f"{facts['nonfinite']:,} of {self.world.layout.parameters:,} gradient elements not finite, "
            f"lr {facts['lr']:g}); not applied"
        )
        self.report.fault("nonfinite", line, worker=event.rank)
        if self.config.on_nonfinite == "stop":
            hint = f"{remedy(self.config)}; --on-nonfinite skip leaves such gradients out and goes on"
            self._stop(DivergedError, f"{line}. Stopping, {self.checkpoints.newest()}; {hint}")

    def _on_signal(self, name: str) -> None:
        self.control.stop()
        self.stopped_at = min(self.stopped_at, time.monotonic())
        self.console.warn(f"{name}: finishing the updates in flight; once more to stop at once")

    def _stop(self, kind: type[HogwildError], why: str) -> None:
        self.stopped = self.stopped or (kind, why)
        self.stopped_at = min(self.stopped_at, time.monotonic())
        self.control.stop()

    def _is_complete(self) -> bool:
        return self.control.stopping or (self.control.next >= self.control.total and not self.control.outstanding())

    def _is_overdue(self) -> bool:
        """A worker that does not come to an end after the stop has had its time: the crew's exit will kill it."""
        return time.monotonic() - self.stopped_at > STOP_TIMEOUT_S

    # ---- evaluating and saving ------------------------------------------------------------------------------------

    def _copy(self) -> State | None:
        """The state between updates: closes the gate, waits until nobody is inside an update, copies, opens it.

        None if the run must end and a worker does not come out of its update.
        """
        self.control.close_gate(self.job.algorithm.barriers_per_round)
        try:
            while not self.control.drained():
                if self._is_overdue():
                    return None
                self._watch(DRAIN_TICK_S, is_draining=True)
            return State.of(self.world, self.module, self.job.algorithm, self.lost)
        finally:
            self.control.open_gate()

    def _do_what_is_due(self) -> None:
        """Evaluates, checkpoints and measures the edge where a boundary has been passed, while the workers go on."""
        completed = self.report.completed
        evaluates, saves = completed >= self.next_eval, completed >= self.next_ckpt
        measures = self.report.edge.is_due(self.control.version)
        if not (evaluates or saves or measures) or completed >= self.job.total_tickets or self.control.stopping:
            return
        if (state := self._copy()) is None:
            return
        score = self._evaluate(state, pulse=lambda: self._watch(0.0)) if evaluates else None
        if saves:
            self.checkpoints.save(state, score)
        if measures:
            state.load_module(self.module)
            stats, lr = Statistics.of(self.world), self.report.lr
            self.report.edge.measure(self.module, stats, lr, pulse=lambda: self._watch(0.0))
        self._plan(self.report.completed)

    def _plan(self, completed: int) -> None:
        """The tickets at which the next evaluation and the next checkpoint are due."""
        per_epoch = self.job.order.tickets_per_epoch

        def after(every: float) -> float:
            return (completed // (every * per_epoch) + 1) * every * per_epoch if every else float("inf")

        self.next_eval, self.next_ckpt = after(self.config.eval_every), after(self.config.ckpt_every)

    def _evaluate(self, state: State, pulse: Callable[[], object]) -> Score:
        state.load_module(self.module)
        score = evaluate(self.module, self.job.data, self.job.data.test, pulse)
        self.report.evaluated(state, score)
        return score

    def _finish(self, interrupts: Interrupts) -> dict[str, object]:
        """Last evaluation, last checkpoint, the summary; raises what ended the run early."""
        state = State.of(self.world, self.module, self.job.algorithm, self.lost)
        state.load_module(self.module)
        finite = all(bool(torch.isfinite(value).all()) for value in state.parameters.values())
        if not finite and self.stopped is None:
            self.stopped = (
                DivergedError,
                f"the parameters are not finite, {self.checkpoints.newest()}; {remedy(self.config)}",
            )
        diverged = self.stopped is not None and self.stopped[0] is DivergedError
        has_trained = state.version > (self.saved.version if self.saved else 0)
        has_test = len(self.job.data.test) > 0
        score = self._evaluate(state, pulse=lambda: None) if finite and has_trained and has_test else None
        if has_trained and not diverged:
            self.checkpoints.save(state, score)
        summary = self.report.summary(score)
        if self.config.record:
            merge(self.directory.workers, self.directory.path / SCHEDULE)
        if self.stopped is not None:
            kind, why = self.stopped
            raise kind(why, summary=summary)
        if interrupts.received:
            raise Interrupted(f"interrupted at update {state.version}; {self.checkpoints.newest()}", summary=summary)
        return summary
