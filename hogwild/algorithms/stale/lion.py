"""Lion, asynchronous: a step of the length lr along the sign of momentum, in every element.

    worker:   g = grad F(snapshot);   d = g                                decoupled; else d = g + wd x
              c = b1 v + (1 - b1) d;   v <- b2 v + (1 - b2) d
              x <- x - lr (sign(c) + wd x);   snapshot <- x                wd: decoupled

momentum_kind shifted gives every worker a v of its own. lr is about a tenth of Adam's, and wd ten times as large.

Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms (arXiv:2302.06675).
Deviates: v is shared and updated without a lock; an update that is lost is one sample of the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild import rules
from hogwild.algorithms.base import (
    SHARED,
    SNAPSHOT,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Steps,
    View,
    beta1_option,
    beta2_option,
    option,
)
from hogwild.algorithms.stale.adaptive import StepOptions, decoupled_option

KINDS = {"heavy-ball": SHARED, "shifted": WORKER}


@dataclass(frozen=True)
class Lion(StepOptions, Algorithm):
    """Asynchronous Lion."""

    name: ClassVar[str] = "lion"
    summary: ClassVar[str] = "asynchronous Lion: steps along the sign of momentum"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}
    lr: ClassVar[float] = 1e-4

    beta1: float = beta1_option()
    beta2: float = beta2_option(0.99, "decay b2 of v")
    decoupled: bool = decoupled_option(True)
    momentum_kind: str = option("heavy-ball", "whether workers share v", choices=tuple(KINDS))

    def keeps(self) -> Mapping[str, Buffer]:
        return {"x": SHARED, "v": KINDS[self.momentum_kind], **self.step_buffers(), "snapshot": SNAPSHOT}

    def adaptive(self) -> rules.Lion:
        return rules.Lion(beta1=self.beta1, beta2=self.beta2, decoupled=self.decoupled)

    def worker(self, w: View) -> Steps:
        momentum = self.adaptive()
        lr, penalty = self.slower(w), self.gap()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lr, momentum=momentum, penalty=penalty)
