"""Ends a run when its metric no longer becomes better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hogwild.drivers.callbacks.callback import Callback, Run
from hogwild.errors import UsageError
from hogwild.tasks.direction import larger_is_better


class EarlyStopping(Callback):
    """Stops a run after `patience` evaluations in a row that were not better than the best so far.

    Args:   monitor: the name of a metric, such as test_loss or test_accuracy.
            patience: at least 1.
            min_delta: by how much an evaluation must be better than the best one to count as better.
            maximize: whether larger is better; default: by the metric's name.

    A metric that is not a number is not better. The best checkpoint of the run, `best`, is not changed by this.
    UsageError if the run has no such metric; before its first update, if it has no evaluations that could stop it.
    """

    def __init__(
        self, monitor: str = "test_loss", patience: int = 3, min_delta: float = 0.0, maximize: bool | None = None
    ) -> None:
        if patience < 1 or not min_delta >= 0:
            raise UsageError(f"EarlyStopping: patience {patience} must be >= 1, and min_delta {min_delta:g} >= 0")
        if maximize not in (None, True, False):
            raise UsageError(f"EarlyStopping: maximize is True, False or None; it is {maximize!r}")
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        maximize = larger_is_better(monitor) if maximize is None else maximize
        if maximize is None:
            raise UsageError(
                f"EarlyStopping: the name {monitor!r} does not tell whether larger is better: give maximize"
            )
        self._sign = 1.0 if maximize else -1.0
        self.best: float | None = None
        self.waited = 0  # evaluations since the best one
        self._goes_on = False  # from a checkpoint

    def on_start(self, run: Run) -> None:
        if not run.evaluations:
            raise UsageError(
                "EarlyStopping: no evaluation is due before the end of this run, so none can stop it: give a test or a "
                "validation set (hogwild.launch: evaluate=), and eval_every, eval_updates or eval_seconds"
            )
        if not self._goes_on and run.evaluations <= self.patience:
            run.warn(
                f"EarlyStopping: {run.evaluations:g} evaluations are due before the end of this run, and patience "
                f"{self.patience} needs {self.patience + 1}: it cannot stop this run"
            )
        if not self._goes_on:
            self.best, self.waited = None, 0
        self._goes_on = False

    def on_eval(self, run: Run) -> None:
        if self.monitor not in run.metrics:
            known = ", ".join(run.metrics)
            raise UsageError(f"EarlyStopping: there is no metric {self.monitor!r}; this run has: {known}")
        value = run.metrics[self.monitor]
        if value == value and (self.best is None or self._sign * (value - self.best) > self.min_delta):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            best = "never a number" if self.best is None else f"at best {self.best:.4g}"
            run.stop(f"{self.monitor} was not better in {self.waited} evaluations, {best}")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
        self._goes_on = True
