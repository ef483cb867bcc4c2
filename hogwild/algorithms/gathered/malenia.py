"""Malenia SGD: all workers compute at the same x until each has brought a gradient; the step weighs workers alike.

    every worker i:   g = grad F_i(x), one batch after the other at the same x;   G_i <- G_i + g;   B_i <- B_i + 1
    once all B_i >= 1 and N / sum_i (1 / B_i) > S / N:
                      x <- x - lr (1/N) sum_i G_i / B_i;   G_i, B_i <- 0
    in flight:        dropped;   all take the new x

No worker waits and no gradient is stale, but a step takes as long as the slowest worker's gradient; the fast ones use
the time to lower the variance of theirs. With S = max(1, ceil(sigma^2 / eps)) it is time-optimal among methods for
workers with different data; where the data are the same, k-batch-sync is.

Source: Tyurin and Richtarik 2023 (arXiv:2305.12387), as Algorithm 1 of Tyurin's later survey states it, and public code
(vectozavr/ringmaster-lmo).
Deviates: a cancelled batch is taken again by its worker, not replaced by a new one. A worker that has died is not
waited for. Momentum is not in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    NOT_NEGATIVE,
    REPLICA,
    SHARED,
    SNAPSHOT,
    Algorithm,
    Buffer,
    Gradient,
    Scope,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class Malenia(Algorithm):
    """Synchronous SGD on the mean of the workers' mean gradients."""

    name: ClassVar[str] = "malenia"
    summary: ClassVar[str] = "a step once all have a fresh gradient, along the mean of workers' means: for split data"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED, "v": SHARED, "sum": REPLICA, "taken": Buffer(Scope.REPLICA, size=1, dtype="float64"),
        "snapshot": SNAPSHOT,
    }  # fmt: skip
    numbers_pushes: ClassVar[bool] = True
    follows_updates: ClassVar[bool] = True

    gradients: int = option(
        0,
        "S: N times the harmonic mean of what the workers bring to a step is above it; 0: one each",
        check=NOT_NEGATIVE,
    )
    momentum: float = momentum_option(0.0, "momentum factor m of the shared buffer")

    def gradients_per_update(self, workers: int) -> int:
        return max(workers, self.gradients)

    def worker(self, w: View) -> Steps:
        momentum = HeavyBall(self.momentum) if self.momentum else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot, cancel=True)
            w.gather(g, self.gradients, momentum=momentum, max_delay=0, of="worker")
