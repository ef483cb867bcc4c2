"""The evaluations of a run: on its validation or test set, in the parent's module, with the time that they take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from hogwild.drivers.instruments.evaluation import Score, evaluate
from hogwild.drivers.instruments.left_out import TEST, LeftOut
from hogwild.drivers.instruments.numbers import EVALUATION, numbers
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample
from hogwild.errors import UsageError
from hogwild.own_code import described
from hogwild.tasks.data import Split


class Info(NamedTuple):
    """When an evaluation of a caller's own takes place: updates and samples so far, seconds since the run began."""

    updates: int
    samples: int
    seconds: float


class OwnScore(Score):
    """The metrics that a caller's own evaluation returns, in `others`; `value` is the one that decides on `best`."""

    def fields(self) -> dict[str, float]:
        """The metrics under the names that the caller gave them."""
        return dict(self.others)


class Evaluator:
    """Evaluates `module` as it is: on the validation set, or the test set if there is none, or by the caller's own
    `job.evaluate(model, info)`.

    `seconds`: the time that this process has spent in evaluations.
    """

    def __init__(self, job: Job, module: nn.Module, left_out: LeftOut) -> None:
        self.job, self.module, self._left_out = job, module, left_out
        self.seconds = 0.0
        self._evaluations = 0
        self._pulse: Callable[[], object] = lambda: None

    @property
    def has_test(self) -> bool:
        """Whether there is something to evaluate on."""
        return self.job.evaluate is not None or len(self.job.data.watched[1]) > 0

    def score(self, pulse: Callable[[], object], at: Info) -> Score:
        """An evaluation of the run. `pulse` is called between batches, of this and of `metrics`. DataError if too many
        samples cannot be read; UsageError if the caller's own evaluation returns no metrics.
        """
        self._pulse, self._at = pulse, at
        self._evaluations += 1
        return self._timed(self._counted(self.job.data.watched[1]))

    def test(self) -> Score | None:
        """The module on the test set; None if the run has none, or if `score` has evaluated it on that."""
        name, test = self.job.data.watched[0], self.job.data.test
        if self.job.evaluate is not None or name == "test" or not len(test):
            return None
        self._evaluations += 1
        return self._timed(self._counted(test), ("test", test))

    def metrics(self) -> dict[str, float]:
        """The metrics of the module once more, for a callback that has changed it; {} without test data."""
        return self._timed(_known).fields() if self.has_test else {}

    def _counted(self, split: Split) -> Callable[[Sequence[BadSample]], object]:
        return lambda bad: self._left_out.add(bad, TEST, self._evaluations, len(split))

    def _timed(self, on_bad: Callable[[Sequence[BadSample]], object], named: tuple[str, Split] | None = None) -> Score:
        name, split = named or self.job.data.watched
        began = time.monotonic()
        try:
            if self.job.evaluate is not None:
                return self._own(self.job.evaluate)
            return evaluate(self.module, self.job.data, split, self._pulse, on_bad, name)
        finally:
            self.seconds += time.monotonic() - began

    @torch.no_grad()
    def _own(self, evaluate: Callable[[nn.Module, Info], Any]) -> Score:
        was_training = self.module.training
        self.module.eval()
        try:
            metrics = evaluate(self.module, self._at)
        finally:
            self.module.train(was_training)
        if not isinstance(metrics, Mapping) or not metrics:
            raise UsageError(
                f"evaluate(model, info) must return metrics, {{name: number}}; it returned {described(metrics)}"
            )
        found = numbers(metrics, EVALUATION, "what evaluate(model, info) returned")
        name = self.job.data.metric or next(iter(found))
        if name not in found:
            raise UsageError(f"evaluate returned no metric {name!r}; it returned: {', '.join(found)}")
        self.job.data.metric = name
        return OwnScore(found.get("loss", math.nan), name, found[name], found)


def _known(_bad: Sequence[BadSample]) -> None:
    """Samples that the evaluation of the run has counted already."""
