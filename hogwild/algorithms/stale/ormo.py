"""OrMo: momentum in the order in which the gradients were asked for, not in which they came.

    Gradients are numbered by the version k at which they were asked for; K in a row are a bucket, b(k) = floor(k / K).
    update t:   if b(t) > b(t - 1):   x <- x - m u;   u <- m u
                l = b(t) - b(k)
                u <- u + m^l lr d;   x <- x - (1 - m^(l + 1)) / (1 - m) lr d         d = g + wd x, x before the update

A late gradient gets the weight that it would have by now, had it come in time; once all have arrived, x equals
synchronous SGD with momentum.

Source: Shi et al. 2024, Ordered Momentum for Asynchronous SGD (NeurIPS; arXiv:2407.19234).
Deviates: the update is as recalled and verified against synchronous SGD with momentum, not read in the paper's text;
that buckets are counted with floor is in the caption of its Figure 1. What a push does depends on its number: --access
locked, or the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.rules import OrMo


@dataclass(frozen=True)
class OrderedMomentum(Algorithm):
    """Asynchronous SGD with one shared momentum buffer that puts gradients in order."""

    name: ClassVar[str] = "ormo"
    summary: ClassVar[str] = "momentum in the order in which gradients were asked for"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}
    numbers_pushes: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the shared buffer")

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=OrMo(self.momentum, w.workers))
