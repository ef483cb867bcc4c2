"""Shows a run to its callbacks: sets what they see to a consistent copy, and calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hogwild.drivers.callbacks.callback import Run
from hogwild.drivers.callbacks.caller import Caller
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.instruments.evaluator import Evaluator
from hogwild.drivers.instruments.numbers import EVALUATION, numbers
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.never import evaluations
from hogwild.errors import UsageError


class Audience:
    """The callbacks of one run, as its driver uses them. Without callbacks every method does nothing.

    `fails(where, error)` ends the run; `ends` is called when a
    callback stops it. Then `reason` says why, and `final` is the copy that was shown, with its score if it has one.
    """

    def __init__(
        self,
        job: Job,
        evaluator: Evaluator,
        report: Report,
        path: Path,
        fails: Callable[[str, Exception], None],
        ends: Callable[[], None],
    ) -> None:
        self.job, self.module, self.report = job, evaluator.module, report
        self._fails, self._ends = fails, ends
        self._run = Run(
            path,
            self.module,
            _stop=self._stop,
            _evaluate=evaluator.metrics,
            _say=report.console.info,
            _warn=report.console.warn,
        )
        self._caller = Caller(job.callbacks, self._run, fails)
        self.intervals = {name: [("updates", float(every))] for name, every in self._caller.intervals().items()}
        self._faults: list[dict[str, Any]] = []
        self._shown: tuple[State, Score | None] | None = None
        self.metrics: dict[str, float] = {}  # of the last evaluation
        self.reason: str | None = None
        self.final: tuple[State, Score | None] | None = None
        if self._caller:
            report.hear = self._faults.append

    def keep(self, state: State) -> State:
        """The same state, with what the checkpoint keeps of the callbacks."""
        return replace(state, callbacks=self._caller.states())

    def start(self, copy: Callable[[], State], saved: State | None) -> list[str]:
        """Gives the callbacks what the checkpoint `saved` keeps of them, and begins. Returns lines for the user."""
        lines = [] if saved is None else self._caller.restore(saved.callbacks)
        if self._caller:
            self._run.evaluations = evaluations(self.job)
            self._show(copy())
            self._call("on_start")
        return lines

    def copied(self, state: State, names: Sequence[str]) -> None:
        """Those callbacks asked for this copy."""
        if names:
            self._show(state)
            self._call("on_copy", names)

    def evaluated(self, state: State, score: Score) -> dict[str, float]:
        """The metrics of an evaluation, with those that callbacks add."""
        metrics = score.fields()
        if self._caller:
            self._show(state, score)
            self._run.metrics = dict(metrics)
            self._call("on_eval")
            try:
                metrics = numbers(self._run.metrics, EVALUATION, "run.metrics, as the callbacks left it,")
            except UsageError as error:
                self._fails("on_eval", error)
            self._run.metrics = dict(metrics)
        self.metrics = metrics
        return metrics

    def saved(self, state: State, path: Path) -> None:
        if self._caller:
            score = self._shown[1] if self._shown is not None and self._shown[0].version == state.version else None
            self._show(state, score)
            self._run.checkpoint = path
            self._call("on_checkpoint")

    def hear_faults(self) -> None:
        """Tells the callbacks of the faults since the last call."""
        while self._faults:
            self._run.fault = self._faults.pop(0)
            self._call("on_fault")

    def end(self, summary: dict[str, Any], error: BaseException | None) -> None:
        """The run has ended, with that summary or that error."""
        self.hear_faults()
        self._caller.end(summary, error)

    def _show(self, state: State, score: Score | None = None) -> None:
        state.load_module(self.module)
        run, order = self._run, self.job.order
        run.updates, run.lr = state.version, self.report.counts.lr_of(state)
        run.samples = self.report.counts.samples_of(state)
        run.epoch = run.samples / order.samples if self.job.body is None else 0.0
        self._shown = state, score

    def _call(self, hook: str, names: Sequence[str] | None = None) -> None:
        was_training = self.module.training
        self._caller.call(hook, names)
        self.module.train(was_training)

    def _stop(self, reason: str) -> None:
        if self.reason is None:
            self.reason, self.final = reason, self._shown
            self._ends()
