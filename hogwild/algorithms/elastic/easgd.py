"""EASGD: workers tied to a center by springs, each exchange an equal and opposite force.

    worker i:   g = grad F(x_i)
                if period | t_i:   d = alpha (x_i - x);   x <- x + d;   x_i <- x_i - lr (g + wd x_i) - d
                otherwise:         x_i <- x_i - lr (g + wd x_i)
                t_i <- t_i + 1

alpha = lr rho is the moving rate, beta = p alpha; the gradient is the one before the exchange. Step and exchange are
one pass, 20 bytes a parameter. Weight decay is in the workers' steps; the center decays through them. exchange = post
exchanges after the period-th step instead, as later codes do. local_rule adamw, rmsprop, lion: the steps of that rule,
with moments of the worker's own.

Source: Zhang, Choromanska and LeCun 2015, Deep learning with Elastic Averaging SGD (arXiv:1412.6651), Algorithm 1;
alpha = beta / p whatever the period, as in the authors' code.
Deviates: the center is updated in place by all workers, under the access policy of the run.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.local_steps import LocalRule
from hogwild.algorithms.elastic.options import (
    AVERAGE,
    MODELS,
    RESULTS,
    alpha_option,
    average,
    average_rate_option,
    beta_option,
    beta_per_option,
    evaluate_option,
    moving_rate,
    period_option,
    with_average,
)
from hogwild.rules import Momentum


@dataclass(frozen=True)
class ElasticAveraging(Algorithm):
    """Asynchronous elastic averaging with some rule of the workers' own steps."""

    alpha: float = alpha_option()
    beta: float = beta_option()
    beta_per: str = beta_per_option()
    period: int = period_option(4)
    exchange: str = option("paper", "at the gradient's step (paper), or after it", choices=("paper", "post"))
    evaluate: str = evaluate_option()
    average_rate: float = average_rate_option()

    def keeps(self) -> Mapping[str, Buffer]:
        return with_average({**self.buffers, **self.step_buffers()}, self.evaluate)

    def result(self) -> str:
        return RESULTS[self.evaluate]

    @abstractmethod
    def step_rule(self) -> Momentum | None:
        """The rule of the workers' own steps."""

    @abstractmethod
    def step_buffers(self) -> dict[str, Buffer]:
        """The buffers of that rule."""

    def worker(self, w: View) -> Steps:
        alpha = moving_rate(self.alpha, self.beta, self.beta_per, self.period, w.workers)
        momentum, post = self.step_rule(), self.exchange == "post"
        while True:
            g = yield Gradient(at=w.replica)
            exchanges = (w.steps + post) % self.period == 0
            w.step(g, momentum=momentum, alpha=alpha if exchanges and not post else 0.0)
            if exchanges and post:
                w.elastic(alpha)
            if exchanges and self.evaluate == AVERAGE:
                average(w, self.average_rate)


@dataclass(frozen=True)
class EASGD(LocalRule, ElasticAveraging):
    """Asynchronous elastic averaging."""

    name: ClassVar[str] = "easgd"
    summary: ClassVar[str] = "elastic averaging: replicas tied to a center, exchanged every period steps"
    buffers: ClassVar[Mapping[str, Buffer]] = MODELS
