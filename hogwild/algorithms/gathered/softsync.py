"""n-softsync: the master takes a step on the mean of every c = floor(N / n) gradients; no worker waits.

    worker:                g = grad F(snapshot);   tau = versions since the snapshot;   snapshot <- x
    with c gradients:      v <- m v + (1/c) sum_j a(tau_j) g_j + wd x;   x <- x - lr v
    modulation:            none: a = 1      gradient: a = 1 / max(1, tau)      average: lr / n, for the mean tau is n

n = N is asynchronous SGD; n = 1 takes N gradients per update, as many as synchronous SGD, but from any workers.

Weight decay is taken once an update, at the master. gradient: it is not divided by tau, so it weighs more next to stale
gradients; average: lr / n is that of the whole step, and the proportion stays.

Source: Zhang et al. 2016, Staleness-aware Async-SGD (IJCAI; arXiv:1511.05950), n-softsync with alpha_0 / tau for each
gradient.
Deviates: lr / n is as recalled from the same group's earlier work (Gupta et al. 2016), not read there. The last update
of a run takes what there is. With momentum it is the gradient that is modulated, not v.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
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
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class Softsync(Algorithm):
    """Asynchronous SGD with an update per floor(N / n) gradients."""

    name: ClassVar[str] = "softsync"
    summary: ClassVar[str] = "n-softsync: an update per floor(N / n) gradients, no worker waits"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "sum": SHARED, "snapshot": SNAPSHOT}
    numbers_pushes: ClassVar[bool] = True

    softsync_n: int = option(
        1, "n: updates per N gradients, 1 to N", check=(lambda value: value >= 1, "an integer >= 1")
    )
    modulation: str = option("none", "what staleness divides", choices=("none", "gradient", "average"))
    momentum: float = momentum_option(0.0, "momentum factor m of the shared buffer")
    dampening: float = dampening_option()

    def gradients_per_update(self, workers: int) -> int:
        if self.softsync_n > workers:
            raise ValueError(
                f"softsync_n is {self.softsync_n} but there are {workers} workers: use an n of at most {workers}"
            )
        return workers // self.softsync_n

    def worker(self, w: View) -> Steps:
        count = self.gradients_per_update(w.workers)
        momentum = HeavyBall(self.momentum, self.dampening) if self.momentum else None
        scale = (lambda delay: 1.0 / max(1, delay)) if self.modulation == "gradient" else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            lr = w.lr / self.softsync_n if self.modulation == "average" else None
            w.gather(g, count, momentum=momentum, scale=scale, lr=lr)
