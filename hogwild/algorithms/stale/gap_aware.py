"""Gap-Aware: a gradient is divided by how far the master has moved since it was computed, in units of a typical step.

    worker:   snapshot <- x;   g = grad F(snapshot)
    master:   s <- Gamma s + (1 - Gamma) v^2                    (g^2 when m = 0; v before this gradient)
              C = lr_max (sqrt(s / (1 - Gamma^t)) + eps)        t pushes so far, this one included
              G = 1 + |x - snapshot| / C                        all of it element by element
              v <- m v + g / G + wd x / G;   x <- x - lr v

penalize_wd = false leaves the weight decay whole, v <- m v + g / G + wd x: it then acts G times as strongly, next to
the gradient, as was asked.

gap_level = layer, global: one G for each parameter tensor, or one for all: ||x - snapshot|| over lr_max times the root
of the running mean of ||v||^2. Exact, in two passes: first the norms, then the push. gap_lagged = true takes the norms
that this worker's previous push saw, in one pass; that form is ours.

gap_size = layer, global under gap_level = element: the gap of each element over one C for its tensor, or for all, made
of the mean of v^2 over the elements. It needs no s, 28 bytes a parameter instead of 36. Ours as well.

Source: Barkai et al. 2020, Gap-Aware Mitigation of Gradient Staleness (arXiv:1909.10802). The exact element-wise form
with S, bias correction, the largest lr seen and the penalised weight decay is that of the group's later code (FTPipe,
sgd_gap_aware.py); the first push is not penalised, nor is an element whose s is still zero.
Deviates: s and v are shared and updated without a lock; lost updates of s are harmless, it is a running mean. The norm
forms are assembled from the definition, the paper's appendix was not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.algorithms.stale.corrections import GapOptions
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class GapAware(GapOptions, Algorithm):
    """Asynchronous SGD with shared momentum and the gap penalty; element-wise in one pass, 36 bytes a parameter."""

    name: ClassVar[str] = "gap-aware"
    summary: ClassVar[str] = "gradients divided by their gap to the master"
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "s": SHARED, "snapshot": SNAPSHOT}
    needs_snapshot: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the shared buffer")

    def keeps(self) -> Mapping[str, Buffer]:
        return {name: scope for name, scope in self.buffers.items() if name != "s"} | self.gap_buffers()

    def worker(self, w: View) -> Steps:
        momentum = HeavyBall(self.momentum) if self.momentum else None
        penalty = self.gap()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum, penalty=penalty)
