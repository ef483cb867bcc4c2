"""The base class of all drivers: the parts of a run that do not depend on how its workers are run.

A driver makes the model and the shared world, trains, evaluates and checkpoints consistent copies, and writes the
summary. Its subclasses decide in which memory the buffers lie and how the workers are run.
"""

from __future__ import annotations

from abc import abstractmethod

import torch

from hogwild import own_code
from hogwild.config import Config
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.copies import Copies
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.interrupts import Interrupts
from hogwild.drivers.job.due import Progress
from hogwild.drivers.job.job import make_job
from hogwild.drivers.job.model import model_fn
from hogwild.drivers.job.never import never_due
from hogwild.drivers.job.norm_window import old_statistics
from hogwild.drivers.job.recorded import recorded
from hogwild.errors import (
    CheckpointError,
    DivergedError,
    HogwildError,
    Interrupted,
)
from hogwild.runs.console import Console
from hogwild.runs.directory import STOPPED, RunDirectory
from hogwild.shared.devices import one_thread
from hogwild.shared.seeds import own_generators


class Driver(Copies):
    """Runs one job, from the initial model to the summary."""

    _layers = (0, 0)  # sum of delays, and of how many elements of pushes, of runs with layer_pushes

    @classmethod
    def of(cls, config: Config, run: RunDirectory, console: Console) -> Driver:
        """The driver for `config`, with the data and the model that it names. UsageError or DataError if they cannot be
        made.
        """
        data, groups = recorded(config, run.read_recipe())
        return cls(make_job(config, data, model_fn(config), groups), run, console)

    @abstractmethod
    def train(self) -> None:
        """Trains until no ticket is left, or the run is stopped or interrupted."""

    def run(self) -> dict[str, object]:
        """Trains and returns the summary. Raises a HogwildError, with `.summary`, if the run ends badly."""
        with own_generators(self.config.seed), one_thread(), Interrupts(self.on_signal):
            try:
                lines = [*never_due(self.job), *old_statistics(self.job, self.module)]
                for line in [*lines, *self.audience.start(self.copy, self.saved)]:
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

    def on_signal(self, name: str) -> None:
        """The first Ctrl-C, SIGTERM or SIGHUP: the run ends in order."""
        self.is_interrupted = True
        self.console.warn(f"{name}: finishing the updates in progress; once more to stop at once")

    def attend(self) -> None:
        """Looks after the processes beside the workers, whenever the workers are looked after."""

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
        self.report.ended_as(str(ending.exit_reason if ending else summary["exit_reason"]))
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
            summary |= {"updates": state.version, "samples": self.report.counts.samples_of(state)}
        return summary

    def _error(self, state: State, summary: dict[str, object]) -> HogwildError | None:
        """The error that ended the run early, if any."""
        if self.stopped is not None:
            return self.stopped[0](self.stopped[1], summary=summary)
        if self.is_interrupted:
            return Interrupted(f"interrupted at update {state.version}; {self.checkpoints.newest()}", summary=summary)
        return None

    def facts(self) -> dict[str, object]:
        """The summary keys that only some runs, or only this driver, have."""
        delay, count = self._layers
        return {"element_delay": delay / count} if count else {}

    def count_layers(self, delay_sum: int, count: int) -> None:
        """Adds what a worker of a run with layer_pushes has measured: delays, summed over elements of pushes."""
        self._layers = self._layers[0] + delay_sum, self._layers[1] + count
