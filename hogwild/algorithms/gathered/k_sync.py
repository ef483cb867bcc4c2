"""K-sync SGD: the first K of N workers make the update, the others are cancelled, and all begin again at the new x.

    every worker i:   g_i = grad F_i(x)
    the first K:      v <- m v + mean_{i in K} g_i + wd x;   x <- x - lr v
    the others:       dropped;   all take the new x

One update takes the time of the K-th of N gradients: (H_N - H_{N-K}) / mu if those are exponential with rate mu. K = N
is synchronous SGD; K < N leaves N - K stragglers out.

Source: Dutta et al. 2018, Slow and Stale Gradients Can Win the Race (arXiv:1803.01113), K-sync SGD.
Deviates: a cancelled batch is taken again by its worker, not replaced by a new one: no data are lost, and that of a
straggler may come last. A process cannot be broken off within its backward pass: it finishes the gradient, drops it and
begins again; the simulator breaks off at once. When fewer than K workers are left their mean makes the update. Momentum
is not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import UPDATE, Gradient, Steps, View
from hogwild.algorithms.gathered.gathering import KGradients


@dataclass(frozen=True)
class KSync(KGradients):
    """Synchronous SGD on the gradients of the K fastest workers."""

    name: ClassVar[str] = "k-sync"
    summary: ClassVar[str] = "the K fastest workers make the update, the others begin again"
    takes_one_each: ClassVar[bool] = True
    follows_updates: ClassVar[bool] = True

    def worker(self, w: View) -> Steps:
        count, momentum = self.gradients_per_update(w.workers), self.rule()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot, cancel=True)
            w.gather(g, count, momentum=momentum, max_delay=0, waits=True)
            yield UPDATE
            w.pull()
