"""DANA-Slim: every worker looks ahead by its own momentum, so that the master needs nothing but x.

    worker i:   g = grad F(snapshot);   d = g + wd x;   v_i <- m v_i + d;   u = m v_i + d
    master:     x <- x - lr u;   snapshot <- x

x stands for theta - lr m sum_j v_j, the model after the next momentum step of every worker: the gradient is taken where
the model will be. With one worker this is Nesterov momentum. ahead: u = v' + l (v' - v_i) with another factor l than m
(nag_asgd.py).

Source: Hakimi et al. 2019, Taming Momentum in a Distributed Asynchronous Environment (arXiv:1907.11612), for the idea;
the form above follows from DANA-Zero by x - x' = lr (d + m v_i'), since v_i' - m v_i = d.
Deviates: the full paper was not at hand. Weight decay is taken at x, the looked-ahead point; at a change of lr the
equality with DANA-Zero is off by lr m sum_j v_j once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, WORKER, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.algorithms.stale.looking_ahead import ahead_option, looking_ahead


@dataclass(frozen=True)
class DANASlim(Algorithm):
    """Asynchronous SGD with a private Nesterov momentum in each worker."""

    name: ClassVar[str] = "dana-slim"
    summary: ClassVar[str] = "look-ahead by private Nesterov momentum"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": WORKER, "snapshot": SNAPSHOT}
    nesterov: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the private buffers")
    ahead: float | None = ahead_option()

    @property
    def stability_rule(self) -> str | None:
        return "dana" if self.ahead in (None, self.momentum) else None

    def worker(self, w: View) -> Steps:
        momentum = looking_ahead(self.momentum, self.ahead)
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
