"""QG-DSGDm: momentum made of how the averaged model moves, so that it follows the common direction.

    every worker i, in rounds:   h_i = x_i - lr (grad F_i(x_i) + wd x_i + m q_i)
                                 x_i' = sum_j W_ij h_j
                                 q_i <- mu q_i + (1 - mu) (x_i - x_i') / lr;   x_i <- x_i'

A round with lr = 0 has no step to learn from: the replicas are averaged, and q stays. No more traffic than d-psgd. The
result is the mean of the replicas.

Source: Lin et al. 2021, Quasi-Global Momentum (arXiv:2102.04761): mu = 0.9.
Deviates: the paper has no lr = 0. q also holds (x_i - sum_j W_ij x_j) / lr, how far a replica is from its neighbours'
mean: after a sudden fall of lr that part is large for some rounds. Weight decay is in the step, and so in q too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import BARRIER, BELOW_ONE, WORKER, Buffer, Gradient, Steps, View, momentum_option, option
from hogwild.algorithms.decentralized.options import MODELS, OnGraph


@dataclass(frozen=True)
class QuasiGlobalMomentum(OnGraph):
    """Decentralized SGD with quasi-global momentum."""

    name: ClassVar[str] = "qg-dsgdm"
    summary: ClassVar[str] = "neighbour averaging with momentum of the averaged model's own movement"
    takes_groups: ClassVar[bool] = False
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "before": WORKER, "q": WORKER}
    barriers_per_round: ClassVar[int] = 2

    momentum: float = momentum_option(0.9, "factor m of q in a step")
    quasi_global: float = option(0.9, "decay mu of q", check=BELOW_ONE)

    def worker(self, w: View) -> Steps:
        neighbours, mu = self.graph(), self.quasi_global
        while True:
            g = yield Gradient(at=w.replica)
            w.combine("before", {"replica": 1})
            w.step(g)
            w.combine("sent", {"replica": 1, "q": -w.lr * self.momentum})
            yield BARRIER  # what is sent is final
            w.mix("replica", "sent", neighbours)
            if w.lr:
                w.combine("q", {"q": mu, "before": (1 - mu) / w.lr, "replica": -(1 - mu) / w.lr})
            yield BARRIER  # every worker has read it
