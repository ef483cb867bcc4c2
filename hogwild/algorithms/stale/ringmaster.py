"""Ringmaster ASGD: a gradient that is too old is dropped, and its worker begins again at the current model.

    worker:   g = grad F(snapshot);   tau = versions since the snapshot
              x <- x - lr (g + wd x)   if tau < R,   else nothing;   snapshot <- x

Source: Maranjyan et al. 2025, Ringmaster ASGD (arXiv:2501.16168), the rule without cancelling: the gradient is compared
when it arrives. R = max(1, ceil(sigma^2 / eps)) makes its time complexity optimal (as recalled, not read in the paper),
with lr = min(1 / (2 L), 1 / (2 R L), eps / (4 sigma^2 L)) for the smoothness L and the variance sigma^2 of a gradient
(Birch SGD, ICLR 2026).
A worker that always takes longer than R versions never contributes. Where workers have different data (--shard) its
data are then not learned at all; the run warns of it.
Deviates: a late gradient is finished before it is dropped; the paper also has a form that stops the computation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import NOT_NEGATIVE, SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option


@dataclass(frozen=True)
class Ringmaster(Algorithm):
    """Asynchronous SGD that lets gradients of delay R or more fall."""

    name: ClassVar[str] = "ringmaster"
    summary: ClassVar[str] = "drops gradients when their delay reaches a limit"
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}

    delay_limit: int = option(0, "R: delays below it are used; 0: twice the number of workers", check=NOT_NEGATIVE)

    def worker(self, w: View) -> Steps:
        limit = self.delay_limit or 2 * w.workers
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lambda delay: w.lr if delay < limit else None)
