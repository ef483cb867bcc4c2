"""Gap-Aware: a gradient is divided by how far the master has moved since it was computed, in units of a typical step.

    worker:   snapshot <- x;   g = grad F(snapshot)
    master:   s <- Gamma s + (1 - Gamma) v^2                    (g^2 when m = 0; v before this gradient)
              C = lr_max (sqrt(s / (1 - Gamma^t)) + eps)        t pushes so far, this one included
              G = 1 + |x - snapshot| / C                        all of it element by element
              v <- m v + g / G + wd x / G;   x <- x - lr v

gap_level = layer, global: one G for each parameter tensor, or one for all: ||x - snapshot|| over lr_max times the root
of the running mean of ||v||^2. Exact, in two passes: first the norms, then the push. gap_lagged = true takes the norms
that this worker's previous push saw, in one pass; that form is ours.

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

from hogwild.algorithms.base import (
    BELOW_ONE,
    SHARED,
    WORKER,
    Algorithm,
    Gradient,
    Scope,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.rules import Gap, HeavyBall


@dataclass(frozen=True)
class GapAware(Algorithm):
    """Asynchronous SGD with shared momentum and the gap penalty; element-wise in one pass, 36 bytes a parameter."""

    name: ClassVar[str] = "gap-aware"
    summary: ClassVar[str] = "gradients divided by their gap to the master"
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Scope]] = {"x": SHARED, "v": SHARED, "s": SHARED, "snapshot": WORKER}
    needs_snapshot: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the shared buffer")
    gap_level: str = option(
        "element", "one G an element, a parameter tensor, or for all", choices=("element", "layer", "global")
    )
    gap_lagged: bool = option(False, "layer, global: norms of the worker's previous push, in one pass")
    gap_unit: str = option(
        "v", "what C is the running size of: momentum, gradient, step made", choices=("v", "g", "step")
    )
    gap_reference: str = option("lr_max", "C is in units of the largest or the current lr", choices=("lr_max", "lr"))
    gap_decay: float = option(0.999, "decay Gamma of the running mean of squared steps", check=BELOW_ONE)
    penalize_wd: bool = option(True, "divide the weight decay by the gap too")

    def __post_init__(self) -> None:
        if self.gap_lagged and self.gap_level == "element":
            raise ValueError("gap_lagged is for gap_level layer or global: the element-wise form needs no second pass")

    def keeps(self) -> Mapping[str, Scope]:
        if self.gap_level == "element":
            return self.buffers
        state = {"gap_state": WORKER if self.gap_lagged else SHARED}
        return {name: scope for name, scope in self.buffers.items() if name != "s"} | state

    def worker(self, w: View) -> Steps:
        momentum = HeavyBall(self.momentum) if self.momentum else None
        penalty = Gap(
            self.gap_decay,
            penalize_weight_decay=self.penalize_wd,
            unit=self.gap_unit,
            reference=self.gap_reference,
            level=self.gap_level,
            lagged=self.gap_lagged,
        )
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum, penalty=penalty)
