"""DANA-Zero: the worker gets the model as it will be after the next momentum step of every worker.

    push by i:   d = g + wd x;   v' = m v_i + d;   x <- x - lr v';   V <- V + v' - v_i;   v_i <- v'
    pull by i:   snapshot <- x - lr m V                              V = sum_j v_j

Weight decay is taken at the master x, not at the look-ahead.

Source: Hakimi et al. 2019, Taming Momentum in a Distributed Asynchronous Environment (arXiv:1907.11612), with the O(1)
sum of the authors' DANA-DC code. Its gap grows no faster than without momentum.
Deviates: V accumulates differences, so an update of V that races and is lost stays lost: use --access atomic where that
matters (docs/memory-model.md). The full paper was not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, WORKER, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.rules import Dana


@dataclass(frozen=True)
class DANAZero(Algorithm):
    """Asynchronous SGD with private momentum and a look-ahead over all workers' momenta."""

    name: ClassVar[str] = "dana-zero"
    summary: ClassVar[str] = "look-ahead over the momenta of all workers"
    stability_rule: ClassVar[str | None] = "dana"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": WORKER, "v_sum": SHARED, "snapshot": SNAPSHOT}
    needs_snapshot: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the private buffers")

    def worker(self, w: View) -> Steps:
        momentum = Dana(self.momentum)
        w.pull(momentum)
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
