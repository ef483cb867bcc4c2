"""K-batch-sync SGD, also called Rennala SGD: the first K gradients at x make the update, whoever brings them.

    every worker:   g = grad F(x), one batch after the other at the same x
    the first K:    v <- m v + mean_{j <= K} g_j + wd x;   x <- x - lr v
    in flight:      dropped;   all take the new x

A fast worker may bring several of the K, which may be more than there are workers. No worker waits, and no gradient is
stale. One update takes K / (N mu) on average if gradients take exponential times of rate mu. With K = max(1,
ceil(sigma^2 / eps)), sigma^2 the variance of a gradient and eps the wanted |grad F|^2, no method with workers that
share their data needs less time, up to a constant.

Source: Dutta et al. 2018, Slow and Stale Gradients Can Win the Race (arXiv:1803.01113), K-batch-sync SGD; Tyurin and
Richtarik 2023 (arXiv:2305.12387), Rennala SGD, as Algorithm 1 of Tyurin's later survey states it: the same method.
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
    summary: ClassVar[str] = "the first K fresh gradients make the update, those in flight begin again (Rennala SGD)"
    follows_updates: ClassVar[bool] = True

    def worker(self, w: View) -> Steps:
        count, momentum = self.gradients_per_update(w.workers), self.rule()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot, cancel=True)
            w.gather(g, count, momentum=momentum, max_delay=0)
