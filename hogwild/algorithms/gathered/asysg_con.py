"""AsySG-con: the master takes a step with the sum of any M gradients; every model that is read was whole.

    worker:                x^ <- x, under the lock;   g = grad F(x^)
    with M gradients:      x <- x - lr sum_{m <= M} (g_m + wd x)

Every gradient of the sum brings its weight decay, as if that were part of F. No worker waits; K-batch-async SGD is the
same with a mean in place of the sum.

Source: Lian et al. 2015, Asynchronous Parallel Stochastic Gradient for Nonconvex Optimization (arXiv:1506.08272), the
algorithm for a network of computers.
Deviates: g_m is the mean over a batch, where the paper has one sample. The last update of a run takes what there is, at
the rate of M.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import NOT_NEGATIVE, SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option


@dataclass(frozen=True)
class AsySGConsistent(Algorithm):
    """Asynchronous SGD with consistent reads and updates of M gradients."""

    name: ClassVar[str] = "asysg-con"
    summary: ClassVar[str] = "a step with the sum of any M gradients; reads are consistent"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "sum": SHARED, "snapshot": SNAPSHOT}
    numbers_pushes: ClassVar[bool] = True

    gradients: int = option(0, "M: gradients that make an update; 0: as many as workers", check=NOT_NEGATIVE)

    def gradients_per_update(self, workers: int) -> int:
        return self.gradients or workers

    def worker(self, w: View) -> Steps:
        count = self.gradients_per_update(w.workers)
        with w.exclusive():
            w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.gather(g, count, lr=count * w.lr)
