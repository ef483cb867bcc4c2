"""RMSprop, asynchronous: gradients divided by the root of one running square that all workers share, as in A3C.

    worker:   g = grad F(snapshot);   d = g + wd x
              q <- b2 q + (1 - b2) d^2;   x <- x - lr d / sqrt(q + eps);   snapshot <- x

eps_inside = false is the form of torch.optim.RMSprop, lr d / (sqrt(q) + eps). There is no bias correction: the first
steps are up to lr / sqrt(1 - b2) long, ten times lr with b2 = 0.99, and no step is longer.

Source: Tieleman and Hinton 2012 (lecture 6.5); shared statistics: Mnih et al. 2016, Asynchronous Methods for Deep
Reinforcement Learning (arXiv:1602.01783), which found them more robust than one q for each worker.
Deviates: q is updated without a lock; an update that is lost is one sample of the mean. eps inside the root is recalled
from A3C codes, not read in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild import rules
from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, beta2_option, option
from hogwild.algorithms.stale.adaptive import AdaptiveOptions, decoupled_option, eps_option


@dataclass(frozen=True)
class RMSprop(AdaptiveOptions, Algorithm):
    """Asynchronous RMSprop without momentum."""

    name: ClassVar[str] = "rmsprop"
    summary: ClassVar[str] = "asynchronous RMSprop with shared statistics (A3C)"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "q": SHARED, "snapshot": SNAPSHOT}
    lr: ClassVar[float] = 1e-3

    beta2: float = beta2_option(0.99)
    eps: float = eps_option(0.1)
    eps_inside: bool = option(True, "eps is added to q, inside the root")
    decoupled: bool = decoupled_option(False)

    def keeps(self) -> Mapping[str, Buffer]:
        return {"x": SHARED, **self.own_buffers(), "snapshot": SNAPSHOT}

    def adaptive(self) -> rules.RMSprop:
        return rules.RMSprop(beta2=self.beta2, eps=self.eps, eps_inside=self.eps_inside, decoupled=self.decoupled)

    def worker(self, w: View) -> Steps:
        momentum = self.adaptive()
        lr, penalty = self.slower(w), self.gap()
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lr, momentum=momentum, penalty=penalty)
