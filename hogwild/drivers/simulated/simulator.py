"""A simulated run from start to summary: evaluates at epoch boundaries, logs every push, writes the run directory.

The contents of metrics.jsonl and pushes.csv depend on the configuration alone: two runs write the same bytes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

import torch
from torch import nn

from hogwild.drivers.base import Driver
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.copies import nothing
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.instruments.left_out import refuse
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.device import resolve
from hogwild.drivers.job.due import Progress
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.replay import Replay
from hogwild.drivers.simulated.run import SimulatedRun
from hogwild.drivers.simulated.simulation import Simulation
from hogwild.drivers.simulated.workers import Push, SimulatedWorker
from hogwild.errors import DataError
from hogwild.files.writing import open_fresh, writing
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.world import World

PUSH_COLUMNS = "push,time,worker,ticket,delay,gap_rms,step_rms,penalty,lr,loss,pulled"
"""The columns of pushes.csv, which has a line for every gradient that was computed:

    push, time, worker, ticket    its number from 1, virtual time, the worker, its batch
    delay                         versions between the snapshot and the push
    gap_rms, step_rms             ||x - snapshot|| before the push and ||step||, over the root of the parameters, all
                                  without tables
    penalty                       harmonic mean of G over the parameters: the gradient counted 1 / penalty on average;
                                  1 where the algorithm divides by no gap
    lr                            as applied for this delay; 0 if the gradient was dropped
    loss                          of the batch, at the snapshot
    pulled                        virtual time at which the worker had read the parameters: what its messages took lies
                                  between that and the beginning of its gradient

gap_rms and step_rms are 0 and penalty is 1 where nothing was pushed (a dropped gradient, a deposit before a barrier).
"""
CONSOLE_EVERY = 64  # pushes between two moves of the progress bar


def simulated(
    job: Job, world: World, module: nn.Module, clock: clocks.Clock,
    on_bad: Callable[[Sequence[BadSample], int, int], object] = refuse,
) -> SimulatedRun:  # fmt: skip
    """The workers of a job under that clock. UsageError if it does not suit the job."""
    if isinstance(clock, clocks.TraceClock):
        return Replay(job, world, module, clock, on_bad)
    return Simulation(job, world, module, clock, on_bad)


class Simulated(Protocol):
    """What a simulator advances: a SimulatedRun, or several."""

    now: float
    computed: int
    doubts: list[str]

    @property
    def messages(self) -> int: ...
    @property
    def moved_bytes(self) -> int: ...
    @property
    def workers(self) -> Sequence[SimulatedWorker]: ...
    def advance(self) -> Push | None: ...


class Simulator(Driver):
    """One run under the virtual clock, in this process. If it is resumed, it is repeated bit for bit from its
    beginning, up to its new end.
    """

    repeats = True

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        super().__init__(job, run, console)
        self.simulation = self.make()
        for line in self.simulation.doubts:
            console.warn(line)
        run.journal.use_clock(lambda: self.simulation.now)

    def make(self) -> Simulated:
        """The simulated workers."""
        config = self.config
        assert config.clock is not None, "a simulated run has a clock"
        clock = clocks.parse(config.clock, config.workers, config.seed, config.straggler)
        # `module` is used for evaluation; the simulation binds a second module to its buffers.
        module = self.job.build().to(self.world.arena.device)
        return simulated(self.job, self.world, module, clock, self.refuse_bad)

    def place(self) -> torch.device:
        return resolve(self.config)

    def train(self) -> None:
        self.report.begin()
        per_epoch = self.job.order.tickets_per_epoch
        with self._pushes() as log:
            log.write(f"{PUSH_COLUMNS}\n")
            while (
                not (self.stopped or self.is_interrupted or self.audience.reason)
                and (push := self._advance()) is not None
            ):
                if push.given_up:
                    continue
                self._log(log, push)
                self._check(push)
                done = self.simulation.computed
                if done % CONSOLE_EVERY == 0:
                    self.report.show(self.world.workers, Statistics.of(self.world))
                    self.report.timeline.drain()
                if done // per_epoch > (done - 1) // per_epoch:
                    self.report.mark_epoch(Statistics.of(self.world))
                if self.report.lines.is_due(done):
                    self.report.lines.write(Statistics.of(self.world))
                if self.report.edge.is_due(self.world.control.version):
                    self.measure_edge(self.copy())
                at = Progress(done, self.world.control.version)
                if (names := self.due.now(at)) and done < self.job.total_tickets:
                    self.serve(names, self.copy())
                    self.due.plan(names, at)
                self.audience.hear_faults()
        self.report.finished(time.monotonic())

    def _advance(self) -> Push | None:
        """The next push. None if no ticket is left, or if the run must stop for samples that cannot be read."""
        try:
            return self.simulation.advance()
        except DataError:
            if self.stopped is None:
                raise
            return None

    def refuse_bad(self, bad: Sequence[BadSample], ticket: int, rank: int) -> None:
        """As Faults.bad_samples, but DataError if the run stops: then their batch is not pushed."""
        self.faults.bad_samples(bad, ticket, rank)
        if self.stopped is not None:
            raise DataError(self.stopped[1])

    def _pushes(self) -> TextIO:
        path = self.directory.path / "pushes.csv"
        with writing(path):
            return os.fdopen(open_fresh(path), "w")

    def _log(self, log: TextIO, push: Push) -> None:
        outcome = self.simulation.workers[push.rank].view.outcome
        stats, parameters = outcome.stats, max(self.world.layout.parameters, 1)
        gap = math.sqrt(stats.gap_sq / parameters) if stats else 0.0
        step = math.sqrt(stats.step_sq / parameters) if stats else 0.0
        penalty = stats.penalty if stats else 1.0
        log.write(
            f"{self.simulation.computed},{push.time:.9g},{push.rank},{push.ticket},{outcome.delay},{gap:.9g},"
            f"{step:.9g},{penalty:.9g},{outcome.lr:.9g},{push.loss:.9g},{push.pulled:.9g}\n"
        )

    def _check(self, push: Push) -> None:
        """Reports the first non-finite gradient."""
        view = self.simulation.workers[push.rank].view
        refused = view.outcome.refused
        if (refused or not math.isfinite(push.loss)) and not self.report.faults:
            self.faults.nonfinite(push.rank, push.loss, refused, self.world.control.version, view.lr)

    def evaluate(self, state: State, pulse: Callable[[], object] = nothing) -> Score | None:
        score = super().evaluate(state, pulse)
        self.report.lines.write(Statistics.of(self.world))
        return score

    def facts(self) -> dict[str, object]:
        for worker in self.simulation.workers:
            self.count_layers(worker.view.layers.delay_sum, worker.view.layers.delay_count)
        return {
            **super().facts(),
            "virtual_s": self.simulation.now,
            "messages": self.simulation.messages,
            "moved_bytes": self.simulation.moved_bytes,
            "clock": self.config.clock,
        }
