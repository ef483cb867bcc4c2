"""RelaySGD: messages along the edges of a tree carry sums of models, so that all weigh the same, each with a delay.

    every worker i, in rounds:   v_i <- m v_i + grad F_i(x_i) + wd x_i;   x_i <- x_i - lr v_i
        to each neighbour j:     x_i + the sum of the last messages from the other neighbours, and how many models it is
        x_i <- (x_i + the sum of the messages just come + (N - n) x_0) / N         n: models in that sum, x_i with them

A model reaches a worker after as many rounds as it is edges away, and weighs 1 / N there, whatever the data of the
workers. The result is the mean of the replicas.

Source: public code (epfml/relaysgd); Vogels et al. 2021 (arXiv:2110.04175).
Deviates: when a worker comes or goes, and when a run is resumed, the round averages the models of all that are there;
that mean is x_0 from then on, and the tree joins those workers. Momentum is not in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import BARRIER, WORKER, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.algorithms.decentralized.relay import Relay, buffers, tree_option
from hogwild.algorithms.elastic.outer import mean_of
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class RelaySGD(Algorithm):
    """Decentralized SGD with relayed sums on a tree."""

    name: ClassVar[str] = "relaysgd"
    summary: ClassVar[str] = "sums of models relayed along a tree: exact uniform weights, also for split data"
    buffers: ClassVar[Mapping[str, Buffer]] = buffers("binary")
    barriers_per_round: ClassVar[int] = 2

    tree: str = tree_option()
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")

    def keeps(self) -> Mapping[str, Buffer]:
        return {**buffers(self.tree), **({"v": WORKER} if self.momentum else {})}

    def result(self) -> str:
        return "replica"

    def worker(self, w: View) -> Steps:
        momentum, relay = HeavyBall(self.momentum) if self.momentum else None, Relay(w, self.tree)
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            relay.send()
            yield BARRIER  # messages are final
            if is_cut := relay.is_cut():
                w.combine("x", mean_of(w, "replica"), share=True)
            else:
                messages, n = relay.receive()
                workers = len(w.present)
                share = dict.fromkeys(["replica", *messages], 1 / workers)
                w.combine("replica", {**share, "x": (workers - 1 - n) / workers})
            yield BARRIER  # every worker has read them
            if is_cut:
                w.adopt()
                relay.begin()
