"""D-PSGD: every worker steps from the weighted mean of its neighbours' models.

    every worker i, in rounds:   g_i = grad F_i(x_i)
    combine = first:   x_i <- sum_j W_ij x_j - lr (g_i + wd x_i)         combine, then adapt: the paper's
    combine = last:    x_i <- sum_j W_ij (x_j - lr (g_j + wd x_j))       adapt, then combine

The result is the mean of the replicas.

Source: Lian et al. 2017, Can Decentralized Algorithms Outperform Centralized Algorithms? (arXiv:1705.09056),
Algorithm 1.
Deviates: a neighbour that is gone leaves its weight to the worker itself. Momentum is the worker's own unless
average_momentum; weight decay is taken where the step starts from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import BARRIER, REPLICA, Buffer, Gradient, Steps, View, momentum_option, option
from hogwild.algorithms.decentralized.options import MODELS, OnGraph, average_momentum_option
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class DPSGD(OnGraph):
    """Decentralized parallel SGD in synchronous rounds."""

    name: ClassVar[str] = "d-psgd"
    summary: ClassVar[str] = "workers average with their neighbours in rounds"
    buffers: ClassVar[Mapping[str, Buffer]] = MODELS
    barriers_per_round: ClassVar[int] = 2

    combine: str = option("first", "average before the step, or after it", choices=("first", "last"))
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")
    average_momentum: bool = average_momentum_option()

    def keeps(self) -> Mapping[str, Buffer]:
        momentum = {"v": REPLICA} if self.momentum else {}
        sent = {"sent_v": REPLICA} if self.momentum and self.average_momentum else {}
        return {**self.buffers, **momentum, **sent}

    def worker(self, w: View) -> Steps:
        neighbours, last = self.graph(), self.combine == "last"
        momentum = HeavyBall(self.momentum) if self.momentum else None
        while True:
            g = yield Gradient(at=w.replica)
            if last:
                w.step(g, momentum=momentum)
            w.combine("sent", {"replica": 1})
            if momentum and self.average_momentum:
                w.combine("sent_v", {"v": 1})
            yield BARRIER  # what is sent is final
            if momentum and self.average_momentum:
                w.mix("v", "sent_v", neighbours)
            if last:
                w.mix("replica", "sent", neighbours)
            else:
                w.step_among(g, "sent", neighbours, momentum=momentum)
            yield BARRIER  # every worker has read it
