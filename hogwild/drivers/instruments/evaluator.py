"""The evaluations of a run: on its test set, in the parent's module, with the time that they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from torch import nn

from hogwild.drivers.instruments.evaluation import Score, evaluate
from hogwild.drivers.instruments.left_out import TEST, LeftOut
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample


class Evaluator:
    """Evaluates `module` as it is. `seconds`: the time that this process has spent in evaluations."""

    def __init__(self, job: Job, module: nn.Module, left_out: LeftOut) -> None:
        self.job, self.module, self._left_out = job, module, left_out
        self.seconds = 0.0
        self._evaluations = 0
        self._pulse: Callable[[], object] = lambda: None

    @property
    def has_test(self) -> bool:
        """Whether there is something to evaluate on."""
        return len(self.job.data.test) > 0

    def score(self, pulse: Callable[[], object]) -> Score:
        """An evaluation of the run. `pulse` is called between batches, of this and of `metrics`. DataError if too many
        samples cannot be read.
        """
        self._pulse = pulse
        self._evaluations += 1
        return self._timed(lambda bad: self._left_out.add(bad, TEST, self._evaluations, len(self.job.data.test)))

    def metrics(self) -> dict[str, float]:
        """The metrics of the module once more, for a callback that has changed it; {} without test data."""
        return self._timed(_known).fields() if self.has_test else {}

    def _timed(self, on_bad: Callable[[Sequence[BadSample]], object]) -> Score:
        began = time.monotonic()
        try:
            return evaluate(self.module, self.job.data, self.job.data.test, self._pulse, on_bad)
        finally:
            self.seconds += time.monotonic() - began


def _known(_bad: Sequence[BadSample]) -> None:
    """Samples that the evaluation of the run has counted already."""
