"""Local SGD: workers take `period` steps of their own, then all start again from the mean.

    every worker i:   v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i;   t <- t + 1
    every period steps, between two barriers:   x <- x + a (mean_j x_j - x);   x_i <- x

With the outer rate a = 1 all start from the mean itself. Rates above 1 can be the best ones; below 1, without momentum
on the averages, they rarely are (arXiv:2509.10439, the abstract).

Post-local SGD: until local_from steps every step is averaged, which moves the mean exactly as averaged gradients would;
only then the periods begin.

With local_rule adamw, rmsprop or lion a worker's own steps are those of AdamW, RMSprop or Lion, with moments of its own
that are kept over averages.

Source: Stich 2019 (arXiv:1805.09767), where a is 1; post-local: Lin et al. 2020 (arXiv:1808.07217).
Deviates: momentum stays with the worker and is not averaged, also in the synchronous first part: the mean of the v_i is
what a common v would be, each one differs from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import BARRIER, NOT_NEGATIVE, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import MODELS, period_option
from hogwild.algorithms.elastic.outer import mean_of, outer_lr_option


@dataclass(frozen=True)
class LocalSGD(LocalSteps):
    """Averaging of the replicas every `period` steps."""

    name: ClassVar[str] = "local-sgd"
    summary: ClassVar[str] = "own steps, and every period steps all start from the mean"
    buffers: ClassVar[Mapping[str, Buffer]] = MODELS
    barriers_per_round: ClassVar[int] = 2

    period: int = period_option(8, "own steps between two averages")
    local_from: int = option(0, "steps that are all averaged at first (post-local SGD)", check=NOT_NEGATIVE)
    momentum: float = local_momentum_option(0.0)
    outer_lr: float = outer_lr_option(1.0, "rate a at which x goes to the mean")

    def result(self) -> str:
        return "replica"

    def worker(self, w: View) -> Steps:
        momentum = self.step_rule()
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period and w.steps > self.local_from:
                continue
            yield BARRIER  # every replica is final
            self.outer(w)
            yield BARRIER  # x is final
            w.adopt()

    def outer(self, w: View) -> None:
        """The step of the center, each worker its own share."""
        a, mean = self.outer_lr, mean_of(w, "replica", self.outer_lr)
        w.combine("x", mean if a == 1 else {"x": 1 - a, **mean}, share=True)
