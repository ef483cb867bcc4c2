"""NoLoCo: DiLoCo by pairs. There is no center and no average over all workers.

    every worker i:   v_i <- mo v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i
                      every `period` own steps, with the other one of its pair:
                          m_i <- mu m_i + eta (mean of the pair's x - phi_i)
                          phi_i <- phi_i + m_i,   or, nesterov,  phi_i + mu m_i + eta (mean of the pair's x - phi_i)
                          x_i <- phi_i

Pairs are drawn anew each time by default; every topology will do. The result is the mean of the replicas.

Source: public code (jkolehm/noloco); Kolehmainen et al. 2025 (arXiv:2506.10911). Its two terms with eta,
eta mean(x - phi) + eta (mean phi - phi_i), add up to the one above, so phi need not travel.
Deviates: the inner optimizer is AdamW with local_rule adamw, SGD with momentum by default. A public configuration has
mu = 0.3; nesterov is ours, against the overshoots of the heavy ball.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    BARRIER,
    BELOW_ONE,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Scope,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.algorithms.decentralized.options import (
    MODELS,
    graph,
    self_weight_option,
    topology_option,
    weights_option,
)
from hogwild.algorithms.elastic.options import POSITIVE, LocalRule, period_option
from hogwild.rules import Topology


@dataclass(frozen=True)
class NoLoCo(LocalRule, Algorithm):
    """Local steps with outer momentum towards the mean of a pair."""

    name: ClassVar[str] = "noloco"
    summary: ClassVar[str] = "diloco by pairs: no average over all workers"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        **MODELS, "phi": Buffer(Scope.REPLICA, starts="x"), "mean": WORKER, "m": WORKER,
    }  # fmt: skip
    barriers_per_round: ClassVar[int] = 2

    period: int = period_option(100, "own steps between two averages")
    topology: str = topology_option("random-pairs")
    weights: str = weights_option()
    self_weight: float = self_weight_option()
    momentum: float = momentum_option(0.9, "momentum factor of each worker, kept over averages")
    outer_momentum: float = option(0.9, "momentum mu of the outer step", check=BELOW_ONE)
    outer_lr: float = option(0.7, "rate eta of the outer step", check=POSITIVE)
    nesterov: bool = option(False, "a Nesterov step in place of the heavy ball")

    def keeps(self) -> Mapping[str, Buffer]:
        return {**self.buffers, **self.step_buffers()}

    def result(self) -> str:
        return "replica"

    def graph(self) -> Topology:
        return graph(self.topology, self.weights, self.self_weight)

    def worker(self, w: View) -> Steps:
        neighbours, momentum, mu, eta = self.graph(), self.step_rule(), self.outer_momentum, self.outer_lr
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period:
                continue
            w.combine("sent", {"replica": 1})
            yield BARRIER  # what is sent is final
            w.mix("mean", "sent", neighbours)
            w.combine("m", {"m": mu, "mean": eta, "phi": -eta})
            if self.nesterov:
                w.combine("phi", {"phi": 1 - eta, "mean": eta, "m": mu})
            else:
                w.combine("phi", {"phi": 1, "m": 1})
            w.combine("replica", {"phi": 1})
            yield BARRIER  # every worker has read it
