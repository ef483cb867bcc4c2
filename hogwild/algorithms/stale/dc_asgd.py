"""DC-ASGD: a first-order correction takes the stale gradient to where the master is now.

    constant:   x <- x - lr (g + lam g g (x - snapshot) + wd x)
    adaptive:   ms_i <- mu ms_i + (1 - mu) g g;   lam -> lam / sqrt(ms_i + 1e-7)
    both:       snapshot <- x

Weight decay is added after the square: it is taken at x already, and g is the gradient without it, in ms too.

Source: Zheng et al. 2017, Asynchronous SGD with Delay Compensation (arXiv:1609.08326); lam = 2 and mu = 0.95 are the
CIFAR-10 values of the authors' code. g g stands for the diagonal of the outer product that approximates the Hessian.
Deviates: power = 1 gives lam |g| (x - snapshot), the form of one public implementation. The paper's server has no
momentum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    SHARED,
    SNAPSHOT,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.algorithms.stale.corrections import CompensationOptions
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class DCASGD(CompensationOptions, Algorithm):
    """Asynchronous SGD with delay compensation."""

    name: ClassVar[str] = "dc-asgd"
    summary: ClassVar[str] = "gradients corrected to first order for the way the master has moved"
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "ms": WORKER, "snapshot": SNAPSHOT}
    needs_snapshot: ClassVar[bool] = True

    momentum: float = momentum_option(0.0, "momentum factor m of the shared buffer")
    dc_adaptive: bool = option(True, "divide lam by the root of a running mean of g g")

    def worker(self, w: View) -> Steps:
        compensation = self.compensated(adaptive=self.dc_adaptive)
        momentum = HeavyBall(self.momentum) if self.momentum else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum, compensation=compensation)
