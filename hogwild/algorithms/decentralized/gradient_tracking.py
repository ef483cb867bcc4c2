"""Gradient tracking: neighbours average the direction too, which follows the mean gradient of all.

    every worker i, in rounds:   g_i = grad F_i(x_i)
                                 y_i <- sum_j W_ij y_j + g_i - g_i_before
                                 x_i <- sum_j W_ij x_j - lr (y_i + wd x_i)

y and g begin at zero. The result is the mean of the replicas. Twice the traffic of d-psgd.

Source: Di Lorenzo and Scutari 2016 (NEXT); Nedic, Olshevsky and Shi 2017 (DIGing), as in public implementations.
Deviates: weight decay is taken at the averaged model and not tracked. A worker that dies takes its y_i - g_i along: the
mean of the others then moves by a constant besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import BARRIER, GRADIENT, REPLICA, WORKER, Buffer, Gradient, Steps, View
from hogwild.algorithms.decentralized.options import MODELS, OnGraph


@dataclass(frozen=True)
class GradientTracking(OnGraph):
    """Decentralized SGD with gradient tracking."""

    name: ClassVar[str] = "gradient-tracking"
    summary: ClassVar[str] = "neighbours average models and a running estimate of the mean gradient"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        **MODELS, "g": GRADIENT, "g_before": WORKER, "y": REPLICA, "sent_y": REPLICA,
    }  # fmt: skip
    barriers_per_round: ClassVar[int] = 2

    def worker(self, w: View) -> Steps:
        neighbours = self.graph()
        while True:
            g = yield Gradient(at=w.replica)
            finite = w.deposit("g", g)
            w.combine("sent", {"replica": 1})
            w.combine("sent_y", {"y": 1})
            yield BARRIER  # what is sent is final
            w.mix("y", "sent_y", neighbours)
            if finite:
                w.combine("y", {"y": 1, "g": 1, "g_before": -1})
                w.combine("g_before", {"g": 1})
            w.step_among(w.parts("y") if finite else g, "sent", neighbours)
            yield BARRIER  # every worker has read it
