"""Delay-adaptive ASGD: a gradient that is older than usual gets a smaller learning rate.

    worker:   g = grad F(snapshot);   tau = versions since the snapshot
              mishchenko:   x <- x - lr N / max(N, tau) (g + wd x)
              koloskova:    x <- x - lr min(1, cutoff / tau) (g + wd x)          cutoff = N if it is not given

Source: Mishchenko et al. 2022, Asynchronous SGD Beats Minibatch SGD Under Arbitrary Delays (arXiv:2206.07638), and
Koloskova et al. 2022, Sharper Convergence Guarantees for Asynchronous SGD (arXiv:2206.08307).
Deviates: Koloskova et al. state min(lr, 1 / (4 L tau)) beyond the cutoff; the smoothness L is unknown in practice, so
the rate falls from lr in proportion. Both rules are as found in public implementations, not read in the papers' text.
Where the delay depends on the data, smaller steps for late gradients favour the samples that are quick to compute
(arXiv:2605.02043, the abstract).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import NOT_NEGATIVE, SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option


@dataclass(frozen=True)
class DelayAdaptive(Algorithm):
    """Asynchronous SGD without momentum whose learning rate falls with the delay beyond a cutoff."""

    name: ClassVar[str] = "delay-adaptive"
    summary: ClassVar[str] = "smaller learning rate for gradients older than usual"
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}

    rule: str = option("mishchenko", "which rule", choices=("mishchenko", "koloskova"))
    delay_cutoff: int = option(
        0, "koloskova: delay up to which lr is kept; 0: the number of workers", check=NOT_NEGATIVE
    )

    def worker(self, w: View) -> Steps:
        cutoff = self.delay_cutoff if self.rule == "koloskova" and self.delay_cutoff else w.workers
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lambda delay: w.lr * cutoff / max(cutoff, delay))
