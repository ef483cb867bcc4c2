"""Adagrad, asynchronous: gradients divided by the root of the sum of all squares so far, which all workers share.

    worker:   g = grad F(snapshot);   d = g + wd x
              q <- q + d^2;   x <- x - lr d / (sqrt(q) + eps);   snapshot <- x

q starts at initial_accumulator. It contains the own d^2 when it divides, so no step is longer than lr.

Source: Duchi, Hazan and Singer 2011, Adaptive Subgradient Methods (JMLR 12), in the diagonal form of
torch.optim.Adagrad; asynchronous with a shared q: Dean et al. 2012 (Downpour SGD with Adagrad).
Deviates: q is updated without a lock, and a lost update stays lost: where a share p of them is, steps are 1 / sqrt(1 -
p) as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from hogwild import rules
from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.stale.adaptive import AdaptiveOptions, decoupled_option, eps_option

NOT_NEGATIVE = (lambda value: value >= 0, "a number >= 0")


@dataclass(frozen=True)
class Adagrad(AdaptiveOptions, Algorithm):
    """Asynchronous Adagrad."""

    name: ClassVar[str] = "adagrad"
    summary: ClassVar[str] = "asynchronous Adagrad: steps that shorten with all squared gradients so far"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "q": SHARED, "snapshot": SNAPSHOT}
    lr: ClassVar[float] = 1e-2

    eps: float = eps_option(1e-10)
    initial_accumulator: float = option(0.0, "value at which q starts", check=NOT_NEGATIVE)
    decoupled: bool = decoupled_option(False)

    def keeps(self) -> Mapping[str, Buffer]:
        own = self.own_buffers()
        if self.initial_accumulator:
            own["q"] = replace(own["q"], starts=self.initial_accumulator)
        return {"x": SHARED, **own, "snapshot": SNAPSHOT}

    def adaptive(self) -> rules.Adagrad:
        return rules.Adagrad(eps=self.eps, decoupled=self.decoupled)

    def worker(self, w: View) -> Steps:
        momentum = self.adaptive()
        lr, penalty = self.slower(w), self.gap()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lr, momentum=momentum, penalty=penalty)
