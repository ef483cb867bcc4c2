"""The base class of all drivers: the parts of a run that do not depend on how its workers are run.

A driver makes the model and the shared world, trains, evaluates and checkpoints consistent copies, and writes the
summary. Its subclasses decide in which memory the buffers lie and how the workers are run.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch

from hogwild import own_code
from hogwild.config import Config
from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.checkpoints.start import begin_with
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import Score, evaluate
from hogwild.drivers.instruments.left_out import TEST, TRAINING, LeftOut
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.interrupts import Interrupts
from hogwild.drivers.job.groups import groups_of
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.model import model_fn, remedy, shared_buffers
from hogwild.drivers.job.samples import BadSample
from hogwild.drivers.job.tables import ROWS_REMEDY, diverges, notes, require_trainable, sparse_push, training_of
from hogwild.drivers.job.trial import try_out
from hogwild.errors import CheckpointError, DataError, DivergedError, HogwildError, Interrupted, OwnCodeError
from hogwild.runs.console import Console
from hogwild.runs.directory import LOG, RunDirectory
from hogwild.shared.control import Tickets
from hogwild.shared.devices import one_thread
from hogwild.shared.placement import Placement
from hogwild.shared.seeds import own_generators
from hogwild.shared.world import World
from hogwild.tasks import load
from hogwild.tasks.data import Split


def nothing() -> None:
    """The default `pulse`: does nothing between batches."""


class Driver(ABC):
    """Runs one job, from the initial model to the summary. Mutates job.data: its metric is made to fit
    (hogwild.drivers.job.trial).

    `module` is the parent's own copy of the model: consistent copies are evaluated in it, and at the end it holds the
    trained model. `saved` is the state from which a resumed run continues. `lost` holds the ranks of workers that died
    and were not replaced. `stopped` is the reason for which the run must end early.
    """

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        self.job, self.config, self.directory, self.console = job, job.config, run, console
        self.module = job.build()
        begin_with(self.module, job)
        self.checkpoints = Checkpoints(job, self.module, run)
        self.saved = saved = self.checkpoints.resume(console)
        place = self.place()
        require_trainable(self.config, job.algorithm, self.module, place)
        self.world = World.create(
            self.module,
            job.algorithm.keeps(),
            self.config.workers,
            dtype=getattr(torch, self.config.dtype),
            device=place,
            lines=len(saved.again) if saved else 0,
            shared_buffers=shared_buffers(self.config, self.module),
            groups=groups_of(self.config, self.module, job.groups),
            training=training_of(self.config, job.algorithm, self.module, job.groups),
        )
        if saved:
            saved.write_to(self.world)
        if job.body is None:
            job.data, lines = try_out(job, self.world.arena.device)
            for line in [*lines, *self._left_out()]:
                console.warn(line)
        for line in notes(job.algorithm, self.module, self.world):
            console.warn(line)
        tickets: Tickets = self.world.control
        tickets.assign(saved.next if saved else 0, job.total_tickets, saved.again if saved else [])
        self.report = Report(job, self.world, run.journal, console)
        self.left_out = LeftOut(self.config.on_bad_sample, self._tell_bad_sample)
        self.lost: set[int] = set()
        self._saves = True  # whether the last checkpoint could be written
        self._evaluates = True  # whether the last evaluation came to its end
        self._evaluations = 0
        self.stopped: tuple[type[HogwildError], str] | None = None
        self.is_interrupted = False

    def _left_out(self) -> list[str]:
        """What the run leaves out of each epoch without having been asked to."""
        order = self.job.order
        if self.config.drop_last is not None or not order.left_out:
            return []
        return [
            f"a batch of one sample has no statistics for BatchNorm: each epoch leaves out {order.left_out} of "
            f"{len(self.job.data.train)} samples (--drop-last false keeps them)"
        ]

    @property
    def has_test(self) -> bool:
        """Whether there is something to evaluate on."""
        return len(self.job.data.watched[1]) > 0

    @classmethod
    def of(cls, config: Config, run: RunDirectory, console: Console) -> Driver:
        """The driver for `config`, with the data and the model that it names. UsageError or DataError if they cannot be
        made.
        """
        return cls(make_job(config, load(config.data, config.data_dir), model_fn(config)), run, console)

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
                self.train()
                return self.finish()
            except HogwildError:
                raise
            except Exception as error:
                if not own_code.place_of(error):
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

    def stop(self, kind: type[HogwildError], why: str) -> None:
        """Ends the run early with that error. Of several errors, the first one is reported."""
        self.stopped = self.stopped or (kind, why)

    def on_nonfinite(self, rank: int, loss: float, elements: int, version: int, lr: float) -> None:
        """Reports a non-finite gradient or loss of worker `rank`: `elements` elements of the gradient were not finite,
        and it was not applied. Stops the run, except under --on-nonfinite skip.
        """
        delay = Statistics.of(self.world).worker_line(rank)["delay_mean"]
        line = (
            f"worker {rank}: loss is {loss:.4g} at update {version} (mean delay {delay:.1f}, {elements:,} of "
            f"{self.world.parameters:,} gradient elements not finite, lr {lr:g}); not applied"
        )
        self.report.fault("nonfinite", line, worker=rank)
        if self.config.on_nonfinite == "stop":
            hint = f"{self._remedy()}; --on-nonfinite skip leaves such gradients out and continues"
            self.stop(DivergedError, f"{line}. Stopping, {self.checkpoints.newest()}; {hint}")

    def _remedy(self) -> str:
        return remedy(self.config) + (ROWS_REMEDY if diverges(self.world) else "")

    def on_bad_samples(self, bad: Sequence[BadSample], ticket: int) -> None:
        """Counts and names samples of the batch of a ticket that could not be read and were left out. Stops the run if
        it must not go on without them.
        """
        order = self.job.order
        try:
            self.left_out.add(bad, TRAINING, int(ticket // order.tickets_per_epoch), order.samples)
        except DataError as error:
            self.stop(DataError, f"{error} (see {self.directory.path / LOG}). Stopping, {self.checkpoints.newest()}")

    def _tell_bad_sample(self, line: str, *, trace: str, quietly: bool, **facts: object) -> None:
        if trace and not quietly:
            self.directory.log(trace)
            line = f"{line}; traceback in {self.directory.path / LOG}"
        self.report.fault("sample", line, quietly=quietly, **facts)

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
        if (score := self._score(*self.job.data.watched, pulse)) is not None:
            self.report.evaluated(state, score)
        return score

    def _score(self, name: str, split: Split, pulse: Callable[[], object] = nothing) -> Score | None:
        self._evaluations += 1

        def on_bad(bad: Sequence[BadSample]) -> None:
            self.left_out.add(bad, TEST, self._evaluations, len(split))

        try:
            return evaluate(self.module, self.job.data, split, pulse, on_bad, name)
        except DataError as error:
            self._evaluates = False
            self.stop(DataError, f"{error} (see {self.directory.path / LOG})")
            return None
        except HogwildError:
            raise
        except Exception as error:
            if not own_code.place_of(error):
                raise
            self._evaluates = False
            self.stop(OwnCodeError, f"the evaluation failed: {self._own_error(error)}")
            return None

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
        """Evaluates and saves the last state and returns the summary. Raises the error that ended the run early, if
        any.
        """
        state = self.copy()
        state.load_module(self.module)
        is_finite = all(bool(torch.isfinite(value).all()) for value in state.parameters.values())
        if not is_finite:
            newest, advice = self.checkpoints.newest(), self._remedy()
            self.stop(DivergedError, f"the parameters are not finite, {newest}; {advice}")
        has_trained = state.version > (self.saved.version if self.saved else 0)
        score = self.evaluate(state) if is_finite and has_trained and self.has_test and self._evaluates else None
        tested = None  # the test set, if the run was evaluated on another one
        if score is not None and score.split != "test" and len(self.job.data.test):
            tested = self._score("test", self.job.data.test)
            if tested is not None:
                self.report.tested(state, tested)
        if self.job.body is not None and not has_trained:
            self.console.warn("0 updates: call worker.step(loss) instead of loss.backward() and optimizer.step()")
        has_diverged = self.stopped is not None and self.stopped[0] is DivergedError
        if has_trained and not has_diverged:
            try:
                self.checkpoints.save(state, score.value if score else None)
            except CheckpointError as error:  # there is no later time to try it again: the run ends, with its summary
                self.stop(CheckpointError, str(error))
        bad = {"bad_samples": self.left_out.total(TRAINING), "bad_test_samples": self.left_out.total(TEST)}
        summary = {**self.report.summary(score, tested), **bad, **self.facts()}
        if self.stopped is not None:
            kind, why = self.stopped
            raise kind(why, summary=summary)
        if self.is_interrupted:
            raise Interrupted(f"interrupted at update {state.version}; {self.checkpoints.newest()}", summary=summary)
        return summary

    def facts(self) -> dict[str, object]:
        """The summary keys that only this driver has."""
        return {}
