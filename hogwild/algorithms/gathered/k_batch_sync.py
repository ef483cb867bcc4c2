"""K-batch-sync SGD: the first K gradients at x make the update; a fast worker may bring several of them.

    every worker:   g = grad F(x), one batch after the other at the same x
    the first K:    v <- m v + mean_{j <= K} g_j + wd x;   x <- x - lr v
    in flight:      dropped;   all take the new x

No worker waits, and no gradient is stale. One update takes K / (N mu) on average if gradients take exponential times of
rate mu.

Source: Dutta et al. 2018, Slow and Stale Gradients Can Win the Race (arXiv:1803.01113), K-batch-sync SGD.
Deviates: a cancelled batch is taken again by its worker, not replaced by a new one: no data are lost, and that of a
straggler may come last. A process cannot be broken off within its backward pass: it finishes the gradient, drops it and
begins again; the simulator breaks off at once. Momentum is not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import Gradient, Steps, View
from hogwild.algorithms.gathered.gathering import KGradients


@dataclass(frozen=True)
class KBatchSync(KGradients):
    """Synchronous SGD on the K gradients that are there first."""

    name: ClassVar[str] = "k-batch-sync"
    summary: ClassVar[str] = "the first K fresh gradients make the update, those in flight begin again"
    follows_updates: ClassVar[bool] = True

    def worker(self, w: View) -> Steps:
        count, momentum = self.gradients_per_update(w.workers), self.rule()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot, cancel=True)
            w.gather(g, count, momentum=momentum, max_delay=0)
