"""FedBuff: the center moves by the mean of K deliveries of local steps, each weighted by its age; nobody waits.

    worker i:   v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i
                every `period` own steps:   d = base_i - x_i
    center:     S <- S + (1 + tau)^-a d                   tau: updates of the center since x_i was read from it
                K-th delivery:   x <- x - eta S / K;   S <- 0
    worker i:   x_i, base_i <- x

K = 1 is FedAsync. The sum is divided by K although the weights are below 1. Fast workers deliver more often, so with
different data the optimum is one in which workers weigh by their speed: use ia2sgd or area there.

Source: Nguyen et al. 2022 (arXiv:2106.06639), and Xie et al. 2019 for K = 1 (arXiv:1903.03934).
Deviates: the formula is recalled; the division by K is Algorithm 1, line 11, as an issue of FedScale quotes it.
Momentum stays with the worker. Deliveries are made one at a time. What lies in S when the run ends is not applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import NOT_NEGATIVE, SHARED, WORKER, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.ages import AGES, adopt_center, age, count
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import COUNT, MODELS, OWN_X, period_option
from hogwild.algorithms.elastic.outer import outer_lr_option


@dataclass(frozen=True)
class FedBuff(LocalSteps):
    """Buffered asynchronous aggregation of local steps."""

    name: ClassVar[str] = "fedbuff"
    summary: ClassVar[str] = "the mean of K deliveries of local steps, weighted by age, moves the center"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        **MODELS, **AGES, "base": OWN_X, "delta": WORKER, "deltas": SHARED,
        "delivered": COUNT,
    }  # fmt: skip

    period: int = period_option(8, "own steps between two deliveries")
    k: int = option(0, "K: deliveries that move the center; 0: as many as workers", check=NOT_NEGATIVE)
    age_power: float = option(
        0.5, "a: a delivery of age tau weighs (1 + tau)^-a", check=(lambda a: a >= 0, "a number >= 0")
    )
    momentum: float = local_momentum_option(0.0, "exchanges")
    outer_lr: float = outer_lr_option(1.0, "rate eta of the center")

    def worker(self, w: View) -> Steps:
        k, momentum = self.k or w.workers, self.step_rule()
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period:
                continue
            w.combine("delta", {"base": 1, "replica": -1})
            with w.exclusive():
                w.combine("deltas", {"deltas": 1, "delta": (1 + age(w)) ** -self.age_power})
                delivered = w.buffer("delivered")
                delivered += 1
                if delivered >= k:
                    w.combine("x", {"x": 1, "deltas": -self.outer_lr / k})
                    w.combine("deltas", {"deltas": 0})
                    delivered.zero_()
                    count(w, 1)
                adopt_center(w)
