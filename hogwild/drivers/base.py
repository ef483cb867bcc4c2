"""The parent of all drivers: what a run has and does, wherever its workers are.

A driver makes the model and the shared world, trains, evaluates and checkpoints consistent copies, and sums up how the
run ended. Where the buffers lie, and how the workers are run, is left to its subclasses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from hogwild.config import Config
from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import Score, evaluate
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.interrupts import Interrupts
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.model import model_fn, remedy, shared_buffers
from hogwild.errors import CheckpointError, DivergedError, HogwildError, Interrupted
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.control import Tickets
from hogwild.shared.devices import one_thread
from hogwild.shared.placement import Placement
from hogwild.shared.world import World
from hogwild.tasks import load


def nothing() -> None:
    """A pulse for a caller that has nothing to do between batches."""


class Driver(ABC):
    """Carries out one job, from the model before the first update to the summary.

    `module` is the parent's own copy of the model: consistent copies are evaluated in it, and it is the trained model
    in the end. `saved` is the state that a resumed run goes on from. `lost` are workers that died and were not
    replaced. `stopped` says why the run must end before its time.
    """

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
            device=self.place(),
            lines=len(saved.again) if saved else 0,
            shared_buffers=shared_buffers(self.config, self.module),
        )
        if saved:
            saved.write_to(self.world)
        tickets: Tickets = self.world.control
        tickets.assign(saved.next if saved else 0, job.total_tickets, saved.again if saved else [])
        self.report = Report(job, self.world, run.journal, console)
        self.lost: set[int] = set()
        self._saves = True  # whether the last checkpoint could be written
        self.stopped: tuple[type[HogwildError], str] | None = None
        self.is_interrupted = False

    @classmethod
    def of(cls, config: Config, run: RunDirectory, console: Console) -> Driver:
        """The driver of the run that `config` names: its data, its model. UsageError or DataError if it cannot be."""
        return cls(make_job(config, load(config.data, config.data_dir), model_fn(config)), run, console)

    @abstractmethod
    def place(self) -> torch.device | Placement:
        """Where the shared buffers lie. UsageError if what was asked for cannot be had."""

    @abstractmethod
    def train(self) -> None:
        """Trains until no ticket is left, or until the run is stopped or interrupted."""

    def run(self) -> dict[str, object]:
        """Trains and returns the summary. Raises a HogwildError, with `.summary`, if the run ends badly."""
        with one_thread(), Interrupts(self.on_signal):
            self.train()
            return self.finish()

    def on_signal(self, name: str) -> None:
        """The first Ctrl-C or SIGTERM: the run ends in order."""
        self.is_interrupted = True
        self.console.warn(f"{name}: finishing the updates in flight; once more to stop at once")

    def stop(self, kind: type[HogwildError], why: str) -> None:
        """The run must end now, with that error; the first reason given counts."""
        self.stopped = self.stopped or (kind, why)

    def on_nonfinite(self, rank: int, loss: float, elements: int, version: int, lr: float) -> None:
        """Reports that a gradient of worker `rank` was refused, with so many elements that are not finite, or that its
        loss was not finite; stops the run unless it is to skip such gradients.
        """
        delay = Statistics.of(self.world).worker_line(rank)["delay_mean"]
        line = (
            f"worker {rank}: loss is {loss:.4g} at update {version} (mean delay {delay:.1f}, {elements:,} of "
            f"{self.world.layout.parameters:,} gradient elements not finite, lr {lr:g}); not applied"
        )
        self.report.fault("nonfinite", line, worker=rank)
        if self.config.on_nonfinite == "stop":
            hint = f"{remedy(self.config)}; --on-nonfinite skip leaves such gradients out and goes on"
            self.stop(DivergedError, f"{line}. Stopping, {self.checkpoints.newest()}; {hint}")

    def copy(self) -> State:
        """The state of the run. The caller sees to it that no update is under way."""
        return State.of(self.world, self.module, self.job.algorithm, self.lost)

    def evaluate(self, state: State, pulse: Callable[[], object] = nothing) -> Score:
        """The score of a copy on the test set. `pulse` is called between batches, so that the caller can go on
        watching.
        """
        state.load_module(self.module)
        score = evaluate(self.module, self.job.data, self.job.data.test, pulse)
        self.report.evaluated(state, score)
        return score

    def save(self, state: State, score: Score | None) -> None:
        """Writes a checkpoint of a copy. One that cannot be written (the disk is full) does not end the run: it is
        reported, once until one succeeds, and tried again when the next is due.
        """
        try:
            self.checkpoints.save(state, score.value if score else None)
        except CheckpointError as error:
            if self._saves:
                self.report.fault("checkpoint", f"{error} Tried again at the next checkpoint")
            self._saves = False
        else:
            self._saves = True

    def measure_edge(self, state: State, pulse: Callable[[], object] = nothing) -> None:
        """Measures the edge ratio at a copy; `pulse` is called between gradients."""
        state.load_module(self.module)
        self.report.edge.measure(self.module, Statistics.of(self.world), self.report.lr, pulse)

    def finish(self) -> dict[str, object]:
        """Last evaluation, last checkpoint, the summary; raises what ended the run early."""
        state = self.copy()
        state.load_module(self.module)
        is_finite = all(bool(torch.isfinite(value).all()) for value in state.parameters.values())
        if not is_finite:
            newest, advice = self.checkpoints.newest(), remedy(self.config)
            self.stop(DivergedError, f"the parameters are not finite, {newest}; {advice}")
        has_trained = state.version > (self.saved.version if self.saved else 0)
        has_test = len(self.job.data.test) > 0
        score = self.evaluate(state) if is_finite and has_trained and has_test else None
        has_diverged = self.stopped is not None and self.stopped[0] is DivergedError
        if has_trained and not has_diverged:
            try:
                self.checkpoints.save(state, score.value if score else None)
            except CheckpointError as error:  # there is no later time to try it again: the run ends, with its summary
                self.stop(CheckpointError, str(error))
        summary = {**self.report.summary(score), **self.facts()}
        if self.stopped is not None:
            kind, why = self.stopped
            raise kind(why, summary=summary)
        if self.is_interrupted:
            raise Interrupted(f"interrupted at update {state.version}; {self.checkpoints.newest()}", summary=summary)
        return summary

    def facts(self) -> dict[str, object]:
        """What this driver adds to the summary."""
        return {}
