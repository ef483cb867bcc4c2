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

from hogwild.algorithms.base import BARRIER, MODEL, WORKER, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.decentralized.options import MODELS, OnGraph, topology_option
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import period_option
from hogwild.algorithms.elastic.outer import outer_lr_option, outer_momentum_option


@dataclass(frozen=True)
class NoLoCo(LocalSteps, OnGraph):
    """Local steps with outer momentum towards the mean of a pair."""

    name: ClassVar[str] = "noloco"
    summary: ClassVar[str] = "diloco by pairs: no average over all workers"
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "phi": MODEL, "mean": WORKER, "m": WORKER}
    barriers_per_round: ClassVar[int] = 2

    period: int = period_option(100, "own steps between two averages")
    topology: str = topology_option("random-pairs")
    momentum: float = local_momentum_option(0.9)
    outer_momentum: float = outer_momentum_option(0.9, "momentum mu of the outer step")
    outer_lr: float = outer_lr_option(0.7, "rate eta of the outer step")
    nesterov: bool = option(False, "a Nesterov step in place of the heavy ball")

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
