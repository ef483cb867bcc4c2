"""AREA: the center is the mean of the models that the workers sent last, at whatever time; nobody waits.

    worker i:   v_i <- m v_i + grad F_i(x_i) + wd x_i;   x_i <- x_i - lr v_i
                every `period` own steps:   x <- x + (x_i - s_i) / N;   s_i <- x_i;   x_i <- x

s_i is what worker i sent last, x_0 at first, so x = mean_j s_j. All workers weigh the same, however slow, and no step
size depends on a delay; a fast worker moves x by 1 / N of its own movement only.

Source: arXiv:2405.10123, the abstract: residuals, a memory of each client, no step sizes by delay; O(1/K) for strongly
convex problems.
Deviates: the formula is recalled, and checked on a quadratic. Exchanges are made one at a time. A worker that starts
in place of one that was killed inside an exchange makes x anew as the mean of all s_j; the s_j of a worker that is not
replaced stays in the mean. Momentum is not in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import MODEL, Buffer, Gradient, Scope, Steps, View
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import MODELS, period_option

EXCHANGES = Buffer(Scope.WORKER, size=1, dtype="float64", saved=False)  # 1 while the worker is inside an exchange


@dataclass(frozen=True)
class AREA(LocalSteps):
    """Asynchronous local steps into the mean of everybody's last model."""

    name: ClassVar[str] = "area"
    summary: ClassVar[str] = "the center is the mean of everybody's last model: unbiased where data differ"
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "sent": MODEL, "exchanges": EXCHANGES}

    period: int = period_option(4)
    momentum: float = local_momentum_option(0.0, "exchanges")

    def worker(self, w: View) -> Steps:
        momentum, share = self.step_rule(), 1 / w.workers
        exchanges = w.buffer("exchanges")
        if exchanges:  # its predecessor left one half done
            with w.exclusive():
                w.combine("x", {("sent", j): share for j in range(w.workers)})
                exchanges.zero_()
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period == 0:
                with w.exclusive():
                    exchanges.fill_(1)
                    w.combine("x", {"x": 1, "replica": share, "sent": -share})
                    w.combine("sent", {"replica": 1})
                    exchanges.zero_()
                    w.combine("replica", {"x": 1})
