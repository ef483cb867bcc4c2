"""What a driver does with consistent copies of a run while it goes on: it evaluates them, saves them, and measures on
them. A failure of the user's code in that ends the run in order.
"""

from __future__ import annotations

import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any

import torch

from hogwild import own_code
from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.checkpoints.start import begin_with
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.audience import Audience
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.instruments.evaluator import Evaluator, Info
from hogwild.drivers.instruments.faults import Faults
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.due import CHECKPOINT, EVALUATION, Due, Progress, intervals_of
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.tables import notes, sparse_push
from hogwild.drivers.job.trial import try_out
from hogwild.drivers.job.world import world_of
from hogwild.errors import (
    CheckpointError,
    DataError,
    HogwildError,
    OwnCodeError,
    UsageError,
)
from hogwild.runs.console import Console
from hogwild.runs.directory import LOG, RunDirectory
from hogwild.shared.control import Tickets
from hogwild.shared.placement import Placement


def nothing() -> None:
    """The default `pulse`: does nothing between batches."""


class Copies(ABC):
    """The world of a run and its copies. Mutates job.data: its metric is made to fit (hogwild.drivers.job.trial).

    `module` is the parent's own copy of the model: consistent copies are evaluated in it, and at the end it holds the
    trained model. `saved` is the state from which a resumed run continues. `lost` holds the ranks of workers that died
    and were not replaced. `stopped` is the reason for which the run must end early. `returns`: what the callers' loops
    returned, by rank. `repeats`: a run that is resumed begins anew in its directory.
    """

    repeats = False
    guests = 0  # processes beside the workers that enter the gate

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        self.job, self.config, self.directory, self.console = job, job.config, run, console
        self.module = job.build()
        self.checkpoints = Checkpoints(job, self.module, run)
        self.saved = saved = None if self.repeats else self.checkpoints.resume(console)
        if saved is None:
            begin_with(self.module, job)
        self.world = world_of(job, self.module, self.place(), self._lines(job, saved))
        if saved:
            saved.write_to(self.world)
            self.saved = saved.without_tensors()
        lines: list[str] = []
        if job.body is None:
            job.data, lines = try_out(job, self.world.arena.device)
        for line in [*lines, *notes(job.algorithm, self.module, self.world)]:
            console.warn(line)
        tickets: Tickets = self.world.control
        self.assign(tickets)
        self.report = Report(job, self.world, run, console)
        self.faults = Faults(self.report, self.checkpoints, run, self.stop)
        self.lost: set[int] = set()
        self._cause: BaseException | None = None
        self._saves = True  # whether the last checkpoint could be written
        self._evaluates = True  # whether the last evaluation came to its end
        self.stopped: tuple[type[HogwildError], str] | None = None
        self.is_interrupted = False
        self.returns: list[Any] = []
        self.evaluator = Evaluator(job, self.module, self.faults.left_out)
        self.audience = Audience(job, self.evaluator, self.report, run.path, self._on_failure, self.end_soon)
        per_epoch = job.order.tickets_per_epoch if job.body is None else 0
        every = intervals_of(self.config, per_epoch, has_test=self.evaluator.has_test)
        job.intervals = {**every, **self.audience.intervals}
        self.due = Due(job.intervals, Progress(tickets.next, saved.version if saved else 0))

    def _lines(self, job: Job, saved: State | None) -> int:
        """Of the control block: one for each worker and guest, and for each ticket that is assigned again."""
        return max(job.config.workers + self.guests, len(saved.again) if saved else 0)

    def assign(self, tickets: Tickets) -> None:
        """Assigns the tickets of the run, those of `saved` that were not completed before the others."""
        saved = self.saved
        tickets.assign(saved.next if saved else 0, self.job.total_tickets, saved.again if saved else [])

    @abstractmethod
    def place(self) -> torch.device | Placement:
        """The device or the placement of the shared buffers. UsageError if this machine cannot provide it."""

    def stop(self, kind: type[HogwildError], why: str, cause: BaseException | None = None) -> None:
        """Ends the run early with that error. Of several errors, the first one is reported."""
        if self.stopped is None:
            self.stopped, self._cause = (kind, why), cause
        self.end_soon()

    def end_soon(self) -> None:  # noqa: B027
        """No further work is begun. The simulator looks at `stopped` itself."""

    def _own_error(self, error: Exception) -> OwnCodeError:
        """The exception that the user's code raised in this process, as an error. Its traceback goes to log.txt."""
        self.directory.log("".join(traceback.format_exception(error)))
        return OwnCodeError(f"{own_code.told(error)}; traceback in {self.directory.path / LOG}")

    def _on_failure(self, where: str, error: Exception) -> None:
        """The callback's method `where` has raised that."""
        if isinstance(error, HogwildError):
            self.stop(type(error), str(error), error)
        else:
            self.stop(OwnCodeError, f"the callback {where} failed: {self._own_error(error)}", error)

    def copy(self) -> State:
        """The state of the run. The caller ensures that no update is in progress.

        Mutates the tables, if rows owe something for the pushes that did not touch them: they make up for it.
        """
        if self.world.tables.training.catches_up and self.world.tables:
            sparse_push(self.world).catch_up(lr=self.report.counts.lr, pushes=self.world.control.version)
        return State.of(self.world, self.module, self.job.algorithm, self.lost)

    def evaluate(self, state: State, pulse: Callable[[], object] = nothing) -> Score | None:
        """Evaluates a copy on the validation set, or the test set if there is none. `pulse` is called between batches,
        so that the caller can keep watching the workers. None if the user's code fails in it: then the run stops, and
        ends without evaluation.
        """
        state.load_module(self.module)
        began = time.monotonic()
        at = Info(state.version, self.report.counts.samples_of(state), self.report.journal.elapsed_s())
        with self.console.doing("evaluating"):
            score = self._scored(lambda: self.evaluator.score(pulse, at))
        if score is not None:
            self.report.evaluated(state, score, self.audience.evaluated(state, score), began)
        return score

    def _scored(self, evaluation: Callable[[], Score | None]) -> Score | None:
        try:
            return evaluation()
        except (DataError, UsageError) as error:
            self._evaluates = False
            log = f" (see {self.directory.path / LOG})" if isinstance(error, DataError) else ""
            self.stop(type(error), f"{error}{log}")
            return None
        except HogwildError:
            raise
        except Exception as error:
            if not own_code.place_of(error):
                raise
            self._evaluates = False
            self.stop(OwnCodeError, f"the evaluation failed: {self._own_error(error)}")
            return None

    def serve(self, names: Collection[str], state: State, pulse: Callable[[], object] = nothing) -> None:
        """Does the things of `due` with these names, on that copy."""
        self.audience.copied(state, [name for name in names if name in self.audience.intervals])
        score = self.evaluate(state, pulse) if EVALUATION in names else None
        if CHECKPOINT in names:
            self.save(state, score)

    def save(self, state: State, score: Score | None) -> None:
        """Writes a checkpoint of a copy. One that cannot be written (the disk is full) does not end the run: it is
        reported, once until one succeeds, and tried again when the next is due.
        """
        try:
            self._save(state, score)
        except CheckpointError as error:
            if self._saves:
                self.report.fault("checkpoint", f"{error} Tried again at the next checkpoint")
            self._saves = False
        else:
            self._saves = True

    def _save(self, state: State, score: Score | None) -> None:
        path = self.checkpoints.save(self.audience.keep(state), score.value if score else None)
        self.audience.saved(state, path)

    def measure_edge(self, state: State, pulse: Callable[[], object] = nothing) -> None:
        """Measures the edge ratio at a copy; `pulse` is called between gradients."""
        state.load_module(self.module)
        divisor = state.divisor(self.job.algorithm, self.world.layout)
        self.report.edge.measure(self.module, Statistics.of(self.world), self.report.counts.lr, pulse, divisor)
