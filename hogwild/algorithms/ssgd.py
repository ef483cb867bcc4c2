"""SSGD: synchronous SGD, the all-reduce baseline on the same substrate.

    every worker i:   g_i = grad F_i(x)
    barrier
    every worker:     v <- m v + mean_j g_j + wd x;   x <- x - lr v      (its own 1/N of the elements)
    barrier

Source: large-batch SGD with the gradient averaged over the workers, as in Goyal et al. 2017 (arXiv:1706.02677), sec. 2;
the element-wise split is the reduce-scatter half of an all-reduce, the shared master makes the other half unnecessary.
Deviates: batches count equally, also the shorter last batch of an epoch. A worker whose gradient is not finite
contributes nothing to its round; one that dies leaves the round to the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    BARRIER,
    GRADIENT,
    SHARED,
    SNAPSHOT,
    Algorithm,
    Buffer,
    Gradient,
    Steps,
    View,
    dampening_option,
    momentum_option,
    option,
)
from hogwild.rules import HeavyBall, Nesterov


@dataclass(frozen=True)
class SSGD(Algorithm):
    """Synchronous SGD: N workers take one step together on the mean of their gradients."""

    name: ClassVar[str] = "ssgd"
    summary: ClassVar[str] = "synchronous SGD: all workers step together on the mean gradient"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "g": GRADIENT, "snapshot": SNAPSHOT}
    barriers_per_round: ClassVar[int] = 2
    counts_rounds: ClassVar[bool] = True
    stands_still: ClassVar[bool] = True

    momentum: float = momentum_option(0.0)
    dampening: float = dampening_option()
    nesterov: bool = option(False, "Nesterov momentum")

    @property
    def stability_rule(self) -> str:
        return "nesterov" if self.nesterov else "standard"

    def worker(self, w: View) -> Steps:
        rule = Nesterov if self.nesterov else HeavyBall
        momentum = rule(self.momentum, self.dampening) if self.momentum else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.deposit("g", g)
            yield BARRIER  # every gradient of the round is final
            w.push_mean("g", momentum=momentum)
            yield BARRIER  # x is final
            w.pull(own=False)
