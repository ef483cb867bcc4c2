"""Overlap local SGD: while workers take their own steps, the average of the last period travels.

    every worker i:   v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i
                      every `period` own steps:
                          z: the mean that was begun a period ago, x_0 at first
                          x_i <- (1 - alpha) x_i + alpha z;   u_i <- n u_i + z - x_i
                          begin   mean_j (z - u_j)

Without outer momentum n what is begun is the mean of the x_j. A worker waits only if others are more than a period
late.

Source: public code (JYWa/Overlap_Local_SGD); Wang, Liang and Joshi 2020 (arXiv:2002.09539).
Deviates: u is in units of x, the code's in units of gradients. Defaults of alpha and n are recalled. A mean that was
begun before a run was stopped is lost: the resumed run takes the one before it once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import ARRIVE, WAIT, WORKER, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import MODELS, OWN_X, RATE, period_option
from hogwild.algorithms.elastic.outer import mean_of, outer_momentum_option
from hogwild.algorithms.elastic.slots import SENT, slot_of_last, slot_of_next


@dataclass(frozen=True)
class OverlapSGD(LocalSteps):
    """Local SGD with averages that travel while workers compute."""

    name: ClassVar[str] = "overlap-sgd"
    summary: ClassVar[str] = "local SGD pulled to the mean of the period before, which travels meanwhile"
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, **SENT, "z": OWN_X, "u": WORKER}
    barriers_per_round: ClassVar[int] = 1

    period: int = period_option(8, "own steps between two averages")
    alpha: float = option(0.6, "part of the way to the mean that a worker goes", check=RATE)
    outer_momentum: float = outer_momentum_option(0.7, "momentum n of the averages")
    momentum: float = local_momentum_option(0.0)

    def result(self) -> str:
        return "replica"

    def worker(self, w: View) -> Steps:
        momentum = self.step_rule()
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period:
                continue
            yield WAIT  # the mean begun last is there
            if w.present:
                w.combine("z", mean_of(w, slot_of_last(w)))
            w.combine("replica", {"replica": 1 - self.alpha, "z": self.alpha})
            w.combine("u", {"u": self.outer_momentum, "z": 1, "replica": -1})
            w.combine(slot_of_next(w), {"z": 1, "u": -1})
            yield ARRIVE
