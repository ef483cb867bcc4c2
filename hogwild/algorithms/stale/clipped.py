"""Clipped ASGD: the norm of a gradient bounds what a stale one can do.

    worker:   g = grad F(snapshot);   x <- x - lr (min(1, c / ||g||) g + wd x)

Weight decay is not part of the norm, and is not clipped.

Source: Erickson and Johansson 2026, Clipping Makes Distributed and Federated Asynchronous SGD Robust to Stragglers
(arXiv:2606.13287, ICML), which covers workers with different data, with high probability; the clipping itself is
Pascanu et al. 2013.
Deviates: only the abstract of the former was at hand. Every algorithm can clip (--clip); this one does so by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class Clipped(Algorithm):
    """Asynchronous SGD with gradients clipped by their norm."""

    name: ClassVar[str] = "clipped"
    summary: ClassVar[str] = "gradients clipped by their norm"
    clip: ClassVar[float] = 1.0
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}

    momentum: float = momentum_option(0.0, "momentum factor m of the shared buffer")

    def worker(self, w: View) -> Steps:
        momentum = HeavyBall(self.momentum) if self.momentum else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
