"""A2CiD2: pair averages with a continuous momentum, which brings workers on a sparse graph together faster.

    a worker has x_i and its momentum y_i, which draw near each other all the time. Before every event of a worker, a
    time t after its last one:   x_i, y_i <- (1 + e) x_i / 2 + (1 - e) y_i / 2,  (1 - e) x_i / 2 + (1 + e) y_i / 2
                                 e = exp(-2 eta t)
    gradient:        v_i <- m v_i + grad F_i(snapshot_i) + wd x_i;   x_i <- x_i - lr v_i;   y_i <- y_i - lr v_i
    average of a pair i, j:      d = x_j - x_i;   x_i, x_j <- their mean;   y_i <- y_i + beta d;   y_j <- y_j - beta d

eta and beta follow from the graph (hogwild.theory.mixing). On a ring of 8, 16, 32 consensus takes 1.4, 2.3, 2.9 times
less time than without; on a complete graph nothing is gained. The result is the mean of the x_i.

Source: Nabli, Belilovsky and Oyallon 2023 (arXiv:2306.08289), and its public code.
Deviates: kept is the lag (y - x) / 2, zero at first: a gradient then moves x alone, and x + lag is what averages
conserve. Time is counted by events, half a unit a gradient and half an average, and passes at the next average. The
code sends x before it is mixed, so that its two ends differ afterwards; here both are mixed first. A chunk that is
skipped is so in x and lag. Momentum is the worker's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, WORKER, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.algorithms.decentralized.options import LAG, LOCKED, pairing_option, topology_option
from hogwild.rules import HeavyBall, Topology

OF_A_GRADIENT = 0.5


@dataclass(frozen=True)
class ACiD(Algorithm):
    """AD-PSGD with continuous momentum."""

    name: ClassVar[str] = "acid"
    summary: ClassVar[str] = "ad-psgd with a continuous momentum: faster consensus on sparse graphs"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "replica": LOCKED, **LAG, "snapshot": SNAPSHOT}

    topology: str = topology_option()
    pairing: str = pairing_option("")
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")

    def keeps(self) -> Mapping[str, Buffer]:
        return {**self.buffers, **({"v": WORKER} if self.momentum else {})}

    def result(self) -> str:
        return "replica"

    def graph(self) -> Topology:
        return Topology(self.topology)

    def worker(self, w: View) -> Steps:
        momentum, elapsed = HeavyBall(self.momentum) if self.momentum else None, w.buffer("elapsed")
        w.pull(of="replica")
        while True:
            g = yield Gradient(at=w.snapshot)
            elapsed += OF_A_GRADIENT
            if (peer := w.peer(self.graph())) >= 0:
                w.average_with(peer, self.pairing, momentum=self.graph())
            w.push(g, momentum=momentum, onto="replica")
