"""AsySG-incon: lock-free SGD that reads without a lock and updates one coordinate, a block, or all.

    worker:   x^ <- x, element by element, whatever others write meanwhile
              g = grad F(x^);   draw coordinates I;   x_k <- x_k - lr (g_k + wd x_k) for k in I

Weight decay acts on the drawn coordinates only. coords = one is the paper's algorithm, block a run of `block`
neighbouring elements, all the practice of Hogwild.

Source: Lian et al. 2015, Asynchronous Parallel Stochastic Gradient for Nonconvex Optimization (arXiv:1506.08272), the
algorithm for shared memory; that one coordinate is updated at a time is recalled from it.
Deviates: g is the mean over the batch, the paper's the sum over M samples: lr here is M times the paper's. The snapshot
is read before the gradient; with --read inplace the gradient is taken at the master itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option

AT_LEAST_ONE = (lambda value: value >= 1, "an integer >= 1")


@dataclass(frozen=True)
class AsySGInconsistent(Algorithm):
    """Asynchronous SGD with inconsistent reads, by coordinates."""

    name: ClassVar[str] = "asysg-incon"
    summary: ClassVar[str] = "lock-free SGD in shared memory; one coordinate, a block or all at a time"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}

    coords: str = option("all", "what an update changes: one coordinate, a block, all", choices=("one", "block", "all"))
    block: int = option(16, "elements of a block (16: a cache line of floats)", check=AT_LEAST_ONE)

    @property
    def takes_tables(self) -> bool:
        return self.coords == "all"

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            if self.coords == "all":
                w.push(g)
                continue
            w.push(g, part=w.draw_block(1 if self.coords == "one" else self.block))
            w.pull()
