"""EASGD, synchronous: all exchanges of a round at once.

    every worker i:   g = grad F(x_i);   t <- t + 1
    if period | t - 1, between two barriers, with the x_i and x of before:
                      x_i <- x_i - lr (g + wd x_i) - alpha (x_i - x)
                      x   <- x + alpha sum_i (x_i - x)              form = jacobi: the x_i before the step
                                                                     form = gauss-seidel: the x_i after it
    otherwise:        x_i <- x_i - lr (g + wd x_i)

With momentum the step is that of EAMSGD, and x_i in the exchange is y_i - m v_i (eamsgd.py).

Source: Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651), equations 3 to 6; the Gauss-Seidel form is that of Zhang's
thesis (arXiv:1605.02216), its algebra re-derived.
Deviates: the center is updated by all workers, each its own share of the elements; the spring of a worker that is gone
is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    BARRIER,
    REPLICA,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Place,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.algorithms.elastic.options import (
    AVERAGE,
    MODELS,
    RESULTS,
    alpha_option,
    average_rate_option,
    beta_option,
    beta_per_option,
    evaluate_option,
    moving_rate,
    period_option,
    with_average,
)
from hogwild.rules import Nesterov


@dataclass(frozen=True)
class SynchronousEASGD(Algorithm):
    """Synchronous elastic averaging; with momentum synchronous EAMSGD."""

    name: ClassVar[str] = "easgd-sync"
    summary: ClassVar[str] = "elastic averaging in synchronous rounds"
    takes_groups: ClassVar[bool] = False
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "sent": REPLICA}
    barriers_per_round: ClassVar[int] = 2

    alpha: float = alpha_option()
    beta: float = beta_option()
    beta_per: str = beta_per_option()
    period: int = period_option(1)
    form: str = option(
        "jacobi", "the center sees the replicas before or after their step", choices=("jacobi", "gauss-seidel")
    )
    momentum: float = momentum_option(0.0, "momentum factor m of each worker (Nesterov)")
    evaluate: str = evaluate_option()
    average_rate: float = average_rate_option()

    def keeps(self) -> Mapping[str, Buffer]:
        return with_average({**self.buffers, **({"v": WORKER} if self.momentum else {})}, self.evaluate)

    def result(self) -> str:
        return RESULTS[self.evaluate]

    def worker(self, w: View) -> Steps:
        alpha = moving_rate(self.alpha, self.beta, self.beta_per, self.period, w.workers)
        momentum = Nesterov(self.momentum) if self.momentum else None
        while True:
            g = yield Gradient(at=w.replica)
            if w.steps % self.period:
                w.step(g, momentum=momentum)
                continue
            w.combine("sent", self.behind(w))
            w.step(g, momentum=momentum)
            w.combine("replica", {"replica": 1, "sent": -alpha, "x": alpha})  # x stands still until the barrier
            if self.form == "gauss-seidel":
                w.combine("sent", self.behind(w))
            yield BARRIER  # every worker has seen the old center and sent a replica
            sent: dict[Place, float] = {("sent", j): alpha for j in w.present}
            w.combine("x", {"x": 1 - alpha * len(sent), **sent}, share=True)
            if self.evaluate == AVERAGE:
                a = self.average_rate or 1 / (float(w.buffer("averaged")) + 2)
                w.combine("average", {"average": 1 - a, "x": a}, share=True)
            yield BARRIER  # the new center is whole, and every worker has read the count
            if self.evaluate == AVERAGE and w.rank == w.present[0]:
                count = w.buffer("averaged")
                count += 1

    def behind(self, w: View) -> dict[Place, float]:
        """The replica where the gradient is not yet looked ahead for: x_i = y_i - m v_i."""
        return {"replica": 1, **({"v": w.lr * self.momentum} if self.momentum else {})}
