"""D2: decentralized SGD that does not mind how different the workers' data are.

    every worker i, in rounds:   v_i <- m v_i + grad F_i(x_i) + wd x_i
                                 h_i = x_i - lr v_i + c_i
                                 x_i <- sum_j W_ij h_j;   c_i <- c_i + (x_i - h_i)

The correction c_i holds by what the neighbours pull the worker away, so that with different data all stand still at the
common optimum; sum_i c_i = 0. The difference x_i - h_i is a sum of fluxes W_ij (h_j - h_i), equal and opposite at both
ends of an edge, and goes into c_i as it is. What is left of the mean of the c_i by rounding is taken out every
`recentre` rounds. The result is the mean of the replicas.

Source: Tang et al. 2018, D2: Decentralized Training over Decentralized Data (arXiv:1803.07068); the smallest eigenvalue
of W must lie above -1/3. This is its correction form, which stays right when lr changes.
Deviates: the first form keeps x_{t-1} and lr g_{t-1}, equal in exact arithmetic. The default weights are lazy,
(I + W) / 2, for a ring of uniform weights and an even number of workers has -1/3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    BARRIER,
    NOT_NEGATIVE,
    REPLICA,
    WORKER,
    Buffer,
    Gradient,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.algorithms.decentralized.options import MODELS, OnGraph, weights_option
from hogwild.algorithms.elastic.outer import mean_of
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class D2(OnGraph):
    """D2, in synchronous rounds."""

    name: ClassVar[str] = "d2"
    summary: ClassVar[str] = "neighbour averaging that is exact for workers with different data"
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "correction": REPLICA}
    barriers_per_round: ClassVar[int] = 2
    above_eigenvalue: ClassVar[float] = -1 / 3

    weights: str = weights_option("lazy")
    recentre: int = option(100, "rounds between two removals of the corrections' mean; 0: never", check=NOT_NEGATIVE)
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")

    def keeps(self) -> Mapping[str, Buffer]:
        momentum = {"v": WORKER} if self.momentum else {}
        return {**self.buffers, **momentum, **({"sent_correction": REPLICA} if self.recentre else {})}

    def worker(self, w: View) -> Steps:
        neighbours = self.graph()
        momentum = HeavyBall(self.momentum) if self.momentum else None
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            w.combine("sent", {"replica": 1, "correction": 1})
            if recentres := self.recentre and (w.round + 1) % self.recentre == 0:
                w.combine("sent_correction", {"correction": 1})
            yield BARRIER  # what is sent is final
            w.mix("replica", "sent", neighbours, correction="correction")
            if recentres:
                w.combine("correction", {"correction": 1, **mean_of(w, "sent_correction", -1)})
            yield BARRIER  # every worker has read it
