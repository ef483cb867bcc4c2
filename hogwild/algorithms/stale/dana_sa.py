"""DANA-SA: DANA's look-ahead with gradients divided by their delay.

    push by i:   v' = m v_i + g / max(1, tau) + wd x;   x <- x - lr v';   V <- V + v' - v_i;   v_i <- v'
    pull by i:   snapshot <- x - lr m V

Weight decay is not divided: next to a gradient of delay tau it acts tau times as strongly as was asked.

Source: the DANA-SA baseline of Barkai et al. 2020 (arXiv:1909.10802).
Deviates: assembled from DANA-Zero and Staleness-Aware; the paper's own pseudo-code was not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, WORKER, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.rules import Dana


@dataclass(frozen=True)
class DANASA(Algorithm):
    """Asynchronous SGD with look-ahead, private momentum and g / delay."""

    name: ClassVar[str] = "dana-sa"
    summary: ClassVar[str] = "DANA's look-ahead with gradients divided by their delay"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": WORKER, "v_sum": SHARED, "snapshot": SNAPSHOT}
    needs_snapshot: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the private buffers")

    def worker(self, w: View) -> Steps:
        momentum = Dana(self.momentum)
        w.pull(momentum)
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, scale=lambda delay: 1 / max(1, delay), momentum=momentum)
