"""The process driver: real workers on one shared model, and a parent that watches, evaluates and keeps the books.

The parent computes no gradient. It starts the crew, deals tickets, names who dies or stalls, evaluates and checkpoints
from consistent copies while the workers run, and is the only writer of the run directory.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any

import torch

from hogwild import checkpoint, errors
from hogwild.algorithms import REGISTRY
from hogwild.compatibility import require_compatible
from hogwild.config import Config
from hogwild.drivers import device
from hogwild.drivers.crew import Crew, Event
from hogwild.drivers.evaluation import Score, evaluate
from hogwild.drivers.job import Job, SharedSplit
from hogwild.drivers.report import Report
from hogwild.drivers.sampling import BatchOrder
from hogwild.drivers.state import State
from hogwild.errors import DivergedError, HogwildError, Interrupted, TooFewWorkersError, UsageError
from hogwild.progress import Console
from hogwild.run_directory import RunDirectory
from hogwild.schedules import Schedule
from hogwild.shared.world import World
from hogwild.tasks import build_model, load
from hogwild.tasks.data import Data

TICK_S = 0.05
START_TIMEOUT_S = 300.0
DRAIN_POLL_S = 0.0005


def train(config: Config, run: RunDirectory, console: Console) -> dict[str, object]:
    """Trains what `config` names; returns the summary. Raises a HogwildError, with `.summary`, if the run ends badly."""
    data = load(config.data, config.data_dir)
    return Trainer(make_job(config, data, partial(build_model, config.model)), run, console).run()


def make_job(config: Config, data: Data, model: Any) -> Job:
    """The job of a configuration. UsageError for what this algorithm or these data do not allow."""
    kind = REGISTRY[config.algorithm]
    if kind.max_workers is not None and config.workers > kind.max_workers:
        raise UsageError(
            f"algorithm {kind.name} is serial: --workers 1 (got {config.workers}); for several workers: "
            "--algorithm asgd, or ssgd for synchronous steps"
        )
    if kind.needs_snapshot and config.read == "inplace":
        raise UsageError(f"algorithm {kind.name} compares the master with a private snapshot: use --read snapshot")
    if len(data.train) < config.workers * config.batch_size:
        raise UsageError(
            f"data set has {len(data.train)} samples, workers x batch = {config.workers} x {config.batch_size}: some "
            "workers would get none. Lower --batch-size or --workers."
        )
    order = BatchOrder(len(data.train), config.batch_size, config.seed)
    tickets = order.total_tickets(config, config.workers if kind.barriers_per_round else 1)
    return Job(config, kind(**config.options), data, model, order, Schedule.of(config, tickets), tickets)


class Trainer:
    """One run from the first worker to the last line of the summary."""

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        self.job, self.run_directory, self.console = job, run, console
        self.config = job.config
        self.module = job.build()
        self.saved = saved = self._load_checkpoint()
        self.world = World.create(
            self.module,
            job.algorithm.buffers,
            self.config.workers,
            dtype=getattr(torch, self.config.dtype),
            device=device.resolve(self.config),
            lines=len(saved.again) if saved else 0,
        )
        self.control = self.world.control
        if saved:
            saved.write_to(self.world)
        self.control.deal(saved.next if saved else 0, job.total_tickets, saved.again if saved else [])
        self.report = Report(job, self.world, run, console, saved.samples(job.order) if saved else 0)
        self.respawns = self.config.respawn
        self.interrupts = 0
        self.bad: str | None = None  # why the run must stop
        self.fatal: type[HogwildError] = DivergedError
        self.best: float | None = None
        per_epoch = job.order.tickets_per_epoch
        self.next_eval = self._after(self.config.eval_every, per_epoch)
        self.next_ckpt = self._after(self.config.ckpt_every, per_epoch)

    # ---- the run --------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, object]:
        split = SharedSplit(self.job.data.train)
        with self._signals(), Crew(self.job, self.world, split, self.run_directory.workers) as crew:
            self.crew = crew
            self._start()
            while crew.working or not self._is_complete():
                if not crew.working and not self._refill():
                    break
                self._watch(TICK_S)
                self._due()
            while crew.alive:  # they are done and on their way out
                self._watch(TICK_S)
        return self._finish()

    def _start(self) -> None:
        """Lines all workers up behind the closed gate, so that they set off together."""
        self.control.close_gate(0)
        for rank in range(self.config.workers):
            self.crew.start(rank)
        waiting, deadline = set(range(self.config.workers)), time.monotonic() + START_TIMEOUT_S
        while waiting and time.monotonic() < deadline:
            for event in self._watch(TICK_S):
                if event.kind in ("ready", "died"):
                    waiting.discard(event.rank)
            if self.control.stopping:
                break
        if waiting and not self.control.stopping:
            self._stop(TooFewWorkersError, f"worker {min(waiting)} did not start within {START_TIMEOUT_S:.0f} s")
        self.report.begin()
        self.control.open_gate()

    def _watch(self, timeout_s: float) -> list[Event]:
        """Hears the workers and acts on it: deaths, divergence, stalls, progress."""
        events = self.crew.wait(timeout_s)
        for event in events:
            if event.kind == "done":
                self.report.finished(event.detail)
            elif event.kind == "nonfinite":
                self._on_nonfinite(event)
            elif event.kind == "died":
                self._on_death(event)
        for line in self.crew.stalled(self.config.stall_timeout):
            self.report.fault("stalled", line)
        self.report.tick(self.crew)
        return events

    def _on_death(self, event: Event) -> None:
        self.control.bury(event.rank)
        error = self.crew.members[event.rank].error
        replace = not self.control.stopping and self.respawns > 0 and (error is None or self.control.version > 0)
        left = len(self.crew.working) + int(replace)
        note = "replaced" if replace else f"{left} of {self.config.workers} continue; its work is dealt again"
        self.report.fault("died", f"{event.detail}. {note}", worker=event.rank)
        if replace:
            self.respawns -= 1
            self.crew.start(event.rank)
        elif error is not None and self.control.version == 0:  # a mistake that every worker will make
            kind = getattr(errors, error[0], TooFewWorkersError)
            self._stop(kind, f"{event.detail} (see {self.run_directory.worker_log(event.rank)})")
        elif left < self.config.min_workers and not self._is_complete():
            self._stop(
                TooFewWorkersError,
                f"{left} worker{'s' * (left != 1)} left, --min-workers is {self.config.min_workers}: stopping after "
                f"checkpoint at update {self.control.version}",
            )

    def _on_nonfinite(self, event: Event) -> None:
        facts = event.detail
        what = f"loss is {facts['loss']}" if facts["loss"] != facts["loss"] or not facts["nonfinite"] else "a gradient"
        stats = self.control.stats(event.rank)
        delay = stats["delay_sum"] / max(stats["pushes"], 1)
        line = (
            f"worker {event.rank}: {what} not finite at update {facts['version']}"
            if what == "a gradient"
            else f"worker {event.rank}: {what} at update {facts['version']}"
        )
        line += f" (mean delay {delay:.1f}, {facts['nonfinite']} non-finite elements, lr {facts['lr']:g}); not applied"
        self.report.fault("nonfinite", line, worker=event.rank)
        if self.config.on_nonfinite == "stop":
            self._stop(DivergedError, f"{line}. Try a lower --lr; --on-nonfinite skip leaves such gradients out and goes on")

    def _stop(self, kind: type[HogwildError], why: str) -> None:
        if self.bad is None:
            self.bad, self.fatal = why, kind
        self.control.stop()

    def _is_complete(self) -> bool:
        return self.control.stopping or (self.control.next >= self.control.total and not self.control.outstanding())

    def _refill(self) -> bool:
        """Nobody works, yet tickets are left: the last worker died. Replaces it if that is allowed."""
        if self.crew.alive:
            return True
        self._stop(TooFewWorkersError, f"no worker is left: stopping after checkpoint at update {self.control.version}")
        return False

    # ---- consistent copies ----------------------------------------------------------------------------------------

    def _copy(self) -> State:
        """The state between updates: closes the gate, waits until nobody is inside an update, copies, opens it."""
        self.control.close_gate(self.job.algorithm.barriers_per_round)
        try:
            while not self.control.drained():
                self._watch(DRAIN_POLL_S)
            return State.of(self.world, self.module, self.job.algorithm.buffers)
        finally:
            self.control.open_gate()

    def _due(self) -> None:
        """Evaluates and checkpoints where an epoch boundary has been passed."""
        completed = self.report.completed
        if completed >= self.job.total_tickets or self.control.stopping:
            return
        evaluates, saves = completed >= self.next_eval, completed >= self.next_ckpt
        if not (evaluates or saves):
            return
        state = self._copy()
        score = self._evaluate(state, pulse=lambda: self._watch(0.0)) if evaluates else None
        if saves:
            self._save(state, score)
        per_epoch = self.job.order.tickets_per_epoch
        completed = self.report.completed
        self.next_eval = self._after(self.config.eval_every, per_epoch, completed)
        self.next_ckpt = self._after(self.config.ckpt_every, per_epoch, completed)

    @staticmethod
    def _after(every: float, per_epoch: int, completed: int = 0) -> float:
        """The ticket of the next multiple of `every` epochs; never, if every is 0."""
        step = every * per_epoch
        return (completed // step + 1) * step if step else float("inf")

    def _evaluate(self, state: State, pulse: Any) -> Score:
        state.load_module(self.module)
        score = evaluate(self.module, self.job.data, self.job.data.test, pulse)
        self.report.evaluated(state, score)
        return score

    def _save(self, state: State, score: Score | None) -> None:
        value = None if score is None else score.value
        sign = 1.0 if self.job.data.maximize else -1.0
        best = value is not None and (self.best is None or sign * value > sign * self.best)
        self.best = value if best else self.best
        samples = state.samples(self.job.order)
        meta = {**self._facts(), "samples": samples, "updates": state.version, "score": value}
        checkpoint.save(
            self.run_directory.ckpt, state.version, state.plain(), meta, keep=self.config.keep, best=best
        )
        self.run_directory.metrics("checkpoint", samples=samples, updates=state.version)

    def _facts(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be resumed."""
        shapes = {name: list(parameter.shape) for name, parameter in self.module.named_parameters()}
        config = self.config
        return {
            "model": shapes, "algorithm": config.algorithm, "dtype": config.dtype, "data": config.data,
            "workers": config.workers, "lr": config.lr,
        }  # fmt: skip

    def _load_checkpoint(self) -> State | None:
        if self.config.resume is None:
            return None
        found = checkpoint.load(self.run_directory.ckpt, self.config.ckpt)
        for line in require_compatible(self._facts(), found.meta):
            self.console.info(f"resuming: {line}")
        self.console.info(f"resuming from {found.name}: {found.samples:,} samples, update {found.step}")
        return State.from_plain(found.state)

    # ---- the end --------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, object]:
        state = State.of(self.world, self.module, self.job.algorithm.buffers)
        finite = all(bool(torch.isfinite(value).all()) for value in state.parameters.values())
        has_trained = state.version > (self.saved.version if self.saved else 0)
        has_test = len(self.job.data.test) > 0
        score = self._evaluate(state, pulse=lambda: None) if finite and has_trained and has_test else None
        if finite and has_trained:
            self._save(state, score)
        summary = self.report.summary(score)
        if self.interrupts:
            raise Interrupted(f"interrupted; checkpoint of update {state.version} written", summary=summary)
        if self.bad is not None:
            raise self.fatal(self.bad, summary=summary)
        if not finite:
            raise DivergedError("the parameters are not finite: lower --lr", summary=summary)
        return summary

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """First Ctrl-C or SIGTERM: finish the updates in flight, checkpoint, end. Second: at once."""

        def interrupt(number: int, _frame: FrameType | None) -> None:
            self.interrupts += 1
            if self.interrupts > 1:
                raise KeyboardInterrupt
            self.control.stop()
            self.console.warn(f"{signal.Signals(number).name}: finishing the updates in flight; once more to stop at once")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
