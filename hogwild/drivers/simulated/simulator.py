"""A simulated run from start to summary: evaluates at epoch boundaries, logs every push, writes the run directory.

Everything in metrics.jsonl and pushes.csv is a function of the configuration alone: two runs write the same bytes.
"""

from __future__ import annotations

import math
import os
import time
from typing import TextIO

import torch

from hogwild.config import Config
from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import Score, evaluate
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.interrupts import Interrupts
from hogwild.drivers.job import device
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.model import model_fn, remedy, shared_buffers
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.simulation import Push, Simulation
from hogwild.errors import DivergedError, Interrupted, UsageError
from hogwild.files.writing import open_fresh, writing
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.world import World
from hogwild.tasks import load

PUSH_COLUMNS = "push,time,worker,ticket,delay,gap_rms,step_rms,penalty,lr,loss"
"""Of pushes.csv, a line for every gradient that was answered:

    push, time, worker, ticket    its number from 1, virtual time, who pushed, which batch
    delay                         versions between the snapshot and the push
    gap_rms, step_rms             ||x - snapshot|| before the push and ||step||, over the root of the parameters
    penalty                       harmonic mean of G over the parameters: the gradient counted 1 / penalty on average;
                                  1 where the algorithm divides by no gap
    lr                            as applied to this delay; 0 if the gradient was dropped
    loss                          of the batch, at the snapshot

gap_rms and step_rms are 0 and penalty is 1 where nothing was pushed (a dropped gradient, a deposit before a barrier).
"""
CONSOLE_EVERY = 64  # pushes between two moves of the progress bar


def simulate(config: Config, run: RunDirectory, console: Console) -> dict[str, object]:
    """Simulates what `config` names; returns the summary. Raises a HogwildError, with `.summary`, if it ends badly."""
    if config.resume is not None:
        raise UsageError("a simulated run is not resumed: it is repeated, bit for bit, by its configuration")
    job = make_job(config, load(config.data, config.data_dir), model_fn(config))
    return Simulator(job, run, console).run()


class Simulator:
    """The trainer's counterpart under the virtual clock."""

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        config = job.config
        assert config.clock is not None, "a simulated run has a clock"
        self.job, self.directory, self.console = job, run, console
        self.module = job.build()  # for evaluation; the simulation binds another one to its buffers
        self.checkpoints = Checkpoints(job, self.module, run)
        self.world = World.create(
            self.module,
            job.algorithm.keeps(),
            config.workers,
            dtype=getattr(torch, config.dtype),
            device=device.resolve(config),
            shared_buffers=shared_buffers(config, self.module),
        )
        self.world.control.deal(0, job.total_tickets, [])
        clock = clocks.parse(config.clock, config.workers, config.seed, config.straggler)
        self.simulation = Simulation(job, self.world, job.build().to(self.world.arena.device), clock)
        run.use_clock(lambda: self.simulation.now)
        self.report = Report(job, self.world, run, console)

    @device.one_thread()
    def run(self) -> dict[str, object]:
        """Simulates to the end, or to a signal or a non-finite gradient; returns the summary."""
        began, why = time.monotonic(), None
        self.report.begin()
        per_epoch = self.job.order.tickets_per_epoch
        every = self.job.config.eval_every * per_epoch or math.inf
        with Interrupts(self._on_signal) as interrupts, self._pushes() as log:
            log.write(f"{PUSH_COLUMNS}\n")
            while why is None and not interrupts.received and (push := self.simulation.advance()) is not None:
                self._log(log, push)
                why = self._why_stop(push)
                done = self.simulation.computed
                if done % CONSOLE_EVERY == 0:
                    self.report.show(self.world.workers, Statistics.of(self.world))
                if done // per_epoch > (done - 1) // per_epoch:
                    self.report.mark_epoch(Statistics.of(self.world))
                if self.report.edge.is_due(self.world.control.version):
                    self._measure_edge()
                if done // every > (done - 1) // every and done < self.job.total_tickets:
                    self._evaluate(State.of(self.world, self.module, self.job.algorithm))
        return self._finish(time.monotonic() - began, why, interrupts.received > 0)

    def _pushes(self) -> TextIO:
        path = self.directory.path / "pushes.csv"
        with writing(path):
            return os.fdopen(open_fresh(path), "w")

    def _log(self, log: TextIO, push: Push) -> None:
        view = self.simulation.workers[push.rank].view
        stats, parameters = view.last_stats, self.world.layout.parameters
        gap = math.sqrt(stats.gap_sq / parameters) if stats else 0.0
        step = math.sqrt(stats.step_sq / parameters) if stats else 0.0
        penalty = stats.penalty if stats else 1.0
        log.write(
            f"{self.simulation.computed},{push.time:.9g},{push.rank},{push.ticket},{view.last_delay},{gap:.9g},"
            f"{step:.9g},{penalty:.9g},{view.last_lr:.9g},{push.loss:.9g}\n"
        )

    def _why_stop(self, push: Push) -> str | None:
        refused = self.simulation.workers[push.rank].view.last_refused
        if not refused and math.isfinite(push.loss):
            return None
        line = (
            f"worker {push.rank}: loss is {push.loss:.4g} at update {self.world.control.version} ({refused:,} of "
            f"{self.world.layout.parameters:,} gradient elements not finite); not applied"
        )
        if self.report.faults == 0:
            self.report.fault("nonfinite", line, worker=push.rank)
        return line if self.job.config.on_nonfinite == "stop" else None

    def _evaluate(self, state: State) -> Score:
        state.load_module(self.module)
        score = evaluate(self.module, self.job.data, self.job.data.test)
        self.report.evaluated(state, score)
        self.report.train_line(Statistics.of(self.world))
        return score

    def _measure_edge(self) -> None:
        State.of(self.world, self.module, self.job.algorithm).load_module(self.module)
        self.report.edge.measure(self.module, Statistics.of(self.world), self.report.lr, lambda: None)

    def _finish(self, wall_s: float, why: str | None, interrupted: bool) -> dict[str, object]:
        state = State.of(self.world, self.module, self.job.algorithm)
        finite = all(bool(torch.isfinite(value).all()) for value in state.parameters.values())
        score = self._evaluate(state) if finite else None
        if finite and why is None:
            self.checkpoints.save(state, score)
        summary = {
            **self.report.summary(score),
            "wall_s": wall_s,
            "samples_per_s": self.report.samples / max(wall_s, 1e-9),
            "virtual_s": self.simulation.now,
            "messages": self.simulation.messages,
            "moved_bytes": self.simulation.moved_bytes,
            "clock": self.job.config.clock,
        }
        if why is not None or not finite:
            raise DivergedError(
                f"{why or 'the parameters are not finite'}. Stopping; {remedy(self.job.config)}", summary=summary
            )
        if interrupted:
            raise Interrupted(f"interrupted at update {state.version}", summary=summary)
        return summary

    def _on_signal(self, name: str) -> None:
        self.console.warn(f"{name}: finishing this update; once more to stop at once")
