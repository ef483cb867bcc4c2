"""K-async SGD: the gradients of K distinct workers make the update; those workers wait for it, the others go on.

    worker:               g = grad F(snapshot)
    with K of N workers:  v <- m v + mean_{i in K} g_i + wd x;   x <- x - lr v
    those K:              snapshot <- x;   the others finish what they compute at their old snapshot

Source: Dutta et al. 2018, Slow and Stale Gradients Can Win the Race (arXiv:1803.01113), K-async SGD.
Deviates: when fewer than K workers are left, or all that are left wait, their mean makes the update. On processes the
read of the new x may overlap with the next update, as any pull may (docs/memory-model.md). A resumed run takes up what
was gathered, and a worker may then deliver to one update twice. Momentum is not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import UPDATE, Gradient, Steps, View
from hogwild.algorithms.gathered.gathering import KGradients


@dataclass(frozen=True)
class KAsync(KGradients):
    """Asynchronous SGD with updates that take the gradients of K distinct workers."""

    name: ClassVar[str] = "k-async"
    summary: ClassVar[str] = "K distinct workers make the update and wait for it, the others go on"
    takes_one_each: ClassVar[bool] = True
    follows_updates: ClassVar[bool] = True

    def worker(self, w: View) -> Steps:
        count, momentum = self.gradients_per_update(w.workers), self.rule()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.gather(g, count, momentum=momentum, waits=True)
            yield UPDATE
            w.pull()
