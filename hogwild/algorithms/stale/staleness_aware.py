"""Staleness-Aware: the learning rate of a gradient is divided by its delay.

    worker:   g = grad F(snapshot);   tau = versions since the snapshot
              v <- m v + g + wd x;   x <- x - lr / max(1, tau) * v

Source: Zhang et al. 2016, Staleness-aware Async-SGD (IJCAI; arXiv:1511.05950), the modulation alpha_0 / tau with n =
lambda.
Deviates: with momentum the paper does not say whether g or the whole step is divided; here it is the step, and the
weight decay in it: gradient and weight decay keep their proportion, and both act less where delays are long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class StalenessAware(Algorithm):
    """Asynchronous SGD with lr / delay; momentum, if any, in one shared buffer."""

    name: ClassVar[str] = "staleness-aware"
    summary: ClassVar[str] = "learning rate divided by the delay of each gradient"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}

    momentum: float = momentum_option(0.9, "momentum factor m of the shared buffer")

    def worker(self, w: View) -> Steps:
        momentum = HeavyBall(self.momentum) if self.momentum else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lambda delay: w.lr / max(1, delay), momentum=momentum)
