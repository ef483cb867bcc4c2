"""Lookahead: slow weights that follow the fast ones every `period` steps, and from which these start again.

    worker i:   x_i, base_i <- x   at its first step
                v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i;   t_i <- t_i + 1
                if period | t_i:   x <- x + a (x_i - base_i);   x_i, base_i <- x

Source: Zhang et al. 2019, Lookahead Optimizer (arXiv:1907.08610): with one worker base_i = x, and x <- x + a (x_i - x).
Deviates: several workers share the slow weights x; that is DOWNPOUR with the rate a, and ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import Gradient, Steps, View, momentum_option, option
from hogwild.algorithms.elastic.downpour import Downpour
from hogwild.algorithms.elastic.options import RATE, period_option


@dataclass(frozen=True)
class Lookahead(Downpour):
    """Slow weights that go a part of the way of the fast ones."""

    name: ClassVar[str] = "lookahead"
    summary: ClassVar[str] = "slow weights go a part of the workers' way every period steps"

    period: int = period_option(5)
    momentum: float = momentum_option(0.0, "momentum factor m of each worker, kept over exchanges")
    slow_rate: float = option(0.5, "part a of the way that the slow weights go", check=RATE)

    def worker(self, w: View) -> Steps:
        momentum = self.step_rule()
        if not w.steps:
            w.deliver()  # nothing yet: the slow weights may have moved since the run began
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period == 0:
                w.combine("replica", {"replica": self.slow_rate, "base": 1 - self.slow_rate})
                w.deliver()
