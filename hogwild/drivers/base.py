"""The base class of all drivers: the parts of a run that do not depend on how its workers are run.

A driver makes the model and the shared world, trains, evaluates and checkpoints consistent copies, and writes the
summary. Its subclasses decide in which memory the buffers lie and how the workers are run.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any

import torch

from hogwild import own_code
from hogwild.config import Config
from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.checkpoints.start import begin_with
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.audience import Audience
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.instruments.evaluator import Evaluator, Info
from hogwild.drivers.instruments.faults import Faults
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.interrupts import Interrupts
from hogwild.drivers.job.due import CHECKPOINT, EVALUATION, Due, Progress, intervals_of
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.model import model_fn
from hogwild.drivers.job.recorded import recorded
from hogwild.drivers.job.tables import notes, sparse_push
from hogwild.drivers.job.trial import try_out
from hogwild.drivers.job.world import world_of
from hogwild.errors import (
    CheckpointError,
    DataError,
    DivergedError,
    HogwildError,
    Interrupted,
    OwnCodeError,
    UsageError,
)
from hogwild.runs.console import Console
from hogwild.runs.directory import LOG, STOPPED, RunDirectory
from hogwild.shared.control import Tickets
from hogwild.shared.devices import one_thread
from hogwild.shared.placement import Placement
from hogwild.shared.seeds import own_generators


def nothing() -> None:
    """The default `pulse`: does nothing between batches."""


class Driver(ABC):
    """Runs one job, from the initial model to the summary. Mutates job.data: its metric is made to fit
    (hogwild.drivers.job.trial).

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
        begin_with(self.module, job)
        self.checkpoints = Checkpoints(job, self.module, run)
        self.saved = saved = None if self.repeats else self.checkpoints.resume(console)
        self.world = world_of(job, self.module, self.place(), self._lines(job, saved))
        if saved:
            saved.write_to(self.world)
        lines: list[str] = []
        if job.body is None:
            job.data, lines = try_out(job, self.world.arena.device)
        for line in [*lines, *notes(job.algorithm, self.module, self.world)]:
            console.warn(line)
        tickets: Tickets = self.world.control
        tickets.assign(saved.next if saved else 0, job.total_tickets, saved.again if saved else [])
        self.report = Report(job, self.world, run.journal, console)
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

    @classmethod
    def of(cls, config: Config, run: RunDirectory, console: Console) -> Driver:
        """The driver for `config`, with the data and the model that it names. UsageError or DataError if they cannot be
        made.
        """
        data, groups = recorded(config, run.read_recipe())
        return cls(make_job(config, data, model_fn(config), groups), run, console)

    @abstractmethod
    def place(self) -> torch.device | Placement:
        """The device or the placement of the shared buffers. UsageError if this machine cannot provide it."""

    @abstractmethod
    def train(self) -> None:
        """Trains until no ticket is left, or the run is stopped or interrupted."""

    def run(self) -> dict[str, object]:
        """Trains and returns the summary. Raises a HogwildError, with `.summary`, if the run ends badly."""
        with own_generators(self.config.seed), one_thread(), Interrupts(self.on_signal):
            try:
                for line in self.audience.start(self.copy, self.saved):
                    self.console.warn(line)
                if self.stopped is not None:  # a callback refused the run
                    raise self.stopped[0](self.stopped[1]) from self._cause
                self.train()
                return self.finish()
            except HogwildError as error:
                self.audience.end(error.summary, error)
                raise
            except BaseException as error:
                self.audience.end({}, error)
                if not isinstance(error, Exception) or not own_code.place_of(error):
                    raise
                raise self._own_error(error) from error

    def _own_error(self, error: Exception) -> OwnCodeError:
        """The exception that the user's code raised in this process, as an error. Its traceback goes to log.txt."""
        self.directory.log("".join(traceback.format_exception(error)))
        return OwnCodeError(f"{own_code.told(error)}; traceback in {self.directory.path / LOG}")

    def on_signal(self, name: str) -> None:
        """The first Ctrl-C, SIGTERM or SIGHUP: the run ends in order."""
        self.is_interrupted = True
        self.console.warn(f"{name}: finishing the updates in progress; once more to stop at once")

    def stop(self, kind: type[HogwildError], why: str, cause: BaseException | None = None) -> None:
        """Ends the run early with that error. Of several errors, the first one is reported."""
        if self.stopped is None:
            self.stopped, self._cause = (kind, why), cause
        self.end_soon()

    def end_soon(self) -> None:  # noqa: B027
        """No further work is begun. The simulator looks at `stopped` itself."""

    def attend(self) -> None:  # noqa: B027
        """Looks after the processes beside the workers, whenever the workers are looked after."""

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
            sparse_push(self.world).catch_up(lr=self.report.lr, pushes=self.world.control.version)
        return State.of(self.world, self.module, self.job.algorithm, self.lost)

    def evaluate(self, state: State, pulse: Callable[[], object] = nothing) -> Score | None:
        """Evaluates a copy on the validation set, or the test set if there is none. `pulse` is called between batches,
        so that the caller can keep watching the workers. None if the user's code fails in it: then the run stops, and
        ends without evaluation.
        """
        state.load_module(self.module)
        at = Info(state.version, self.report.samples_of(state), self.report.journal.elapsed_s())
        score = self._scored(lambda: self.evaluator.score(pulse, at))
        if score is not None:
            self.report.evaluated(state, score, self.audience.evaluated(state, score))
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
        self.report.edge.measure(self.module, Statistics.of(self.world), self.report.lr, pulse, divisor)

    def finish(self) -> dict[str, object]:
        """Evaluates and saves the last state and returns the summary. Raises the error that ended the run early, if
        any.
        """
        state, score = self.audience.final or (self.copy(), None)
        state.load_module(self.module)
        is_finite = all(bool(torch.isfinite(value).all()) for value in state.parameters.values())
        if not is_finite:
            newest, advice = self.checkpoints.newest(), self.faults.remedy()
            self.stop(DivergedError, f"the parameters are not finite, {newest}; {advice}")
        has_trained = state.version > (self.saved.version if self.saved else 0)
        if is_finite and has_trained and self.stopped is None and self.audience.final is None:
            last = self.due.now(Progress(0, state.version), ("updates",))  # not done while the run went on
            self.audience.copied(state, [name for name in last if name in self.audience.intervals])
        if score is None and is_finite and has_trained and self.evaluator.has_test and self._evaluates:
            score = self.evaluate(state)
        tested = None  # the test set, if the run was evaluated on another one
        if score is not None and score.split != "test":
            if self.job.callbacks:
                state.load_module(self.module)
            tested = self._scored(self.evaluator.test)
            if tested is not None:
                self.report.tested(state, tested)
        if self.stopped is None and (line := self.report.of_loops(has_trained=has_trained)) is not None:
            self.console.warn(line)
        if has_trained and (self.stopped is None or self.stopped[0] is not DivergedError):
            try:
                self._save(state, score)
            except CheckpointError as error:  # there is no later time to try it again: the run ends, with its summary
                self.stop(CheckpointError, str(error))
        summary = self._summary(state, score, tested)
        ending = self._error(state, summary)
        self.audience.end(summary, ending)
        if self.job.callbacks:
            state.load_module(self.module)  # as it was saved, whatever they did to it
        if (ending := ending or self._error(state, summary)) is not None:
            raise ending from self._cause
        return summary

    def _summary(self, state: State, score: Score | None, tested: Score | None) -> dict[str, object]:
        summary = {
            **self.report.summary(score, tested),
            **self.faults.totals(),
            "eval_s": self.evaluator.seconds,
            **self.facts(),
        }
        if score is not None:
            summary |= self.audience.metrics
        if self.audience.reason is not None:
            summary |= {"exit_reason": STOPPED, "stopped": self.audience.reason}
        if self.audience.final is not None:
            summary |= {"updates": state.version, "samples": self.report.samples_of(state)}
        return summary

    def _error(self, state: State, summary: dict[str, object]) -> HogwildError | None:
        """The error that ended the run early, if any."""
        if self.stopped is not None:
            return self.stopped[0](self.stopped[1], summary=summary)
        if self.is_interrupted:
            return Interrupted(f"interrupted at update {state.version}; {self.checkpoints.newest()}", summary=summary)
        return None

    def facts(self) -> dict[str, object]:
        """The summary keys that only this driver has."""
        return {}
