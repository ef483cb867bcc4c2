"""K-batch-async SGD: any K gradients make the update, however old; no worker waits.

    worker:                g = grad F(snapshot);   snapshot <- x
    with K gradients:      v <- m v + mean_{j <= K} g_j + wd x;   x <- x - lr v

One update takes K E[T] / N; K may be larger than N. K = 1 is asynchronous SGD; K = floor(N / n) is n-softsync.

Source: Dutta et al. 2018, Slow and Stale Gradients Can Win the Race (arXiv:1803.01113), K-batch-async SGD.
Deviates: the last update of a run takes what there is. Momentum is not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import Gradient, Steps, View
from hogwild.algorithms.gathered.gathering import KGradients


@dataclass(frozen=True)
class KBatchAsync(KGradients):
    """Asynchronous SGD with updates of K gradients."""

    name: ClassVar[str] = "k-batch-async"
    summary: ClassVar[str] = "any K gradients make the update, no worker waits"

    def worker(self, w: View) -> Steps:
        count, momentum = self.gradients_per_update(w.workers), self.rule()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.gather(g, count, momentum=momentum)
