"""AdamW, asynchronous: every gradient moves x by its own momentum, divided by the root of a running square of all.

    worker i:   g = grad F(snapshot);   d = g                                    decoupled; else d = g + wd x
                v_i <- b1 v_i + (1 - b1) d;   q <- b2 q + (1 - b2) d^2
                direction = ((b1 v_i + (1 - b1) d) / bc1) / (sqrt(q / bc2) + eps)
                x <- x - lr (direction + wd x);   snapshot <- x                  wd: decoupled
    bc1 = 1 - b1^(pushes of i + 1),   bc2 = 1 - b2^(pushes of all),   this one included

That is momentum_kind dana-slim, which looks ahead by the worker's own momentum and shares none to race on.

    shifted      (v_i / bc1) / ..., bc1 = 1 - b1^(pushes of i)
    heavy-ball   the same with one v for all and their count: what SharedAdam of A3C codes does
    dana         as shifted, and snapshot <- x - lr b1 (sum_j v_j / bc1) / (sqrt(q / bc2) + eps)

Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization (arXiv:1711.05101); Kingma and Ba 2015
(arXiv:1412.6980); the look-aheads: Hakimi et al. 2019 (arXiv:1907.11612).
Deviates: moments are shared as declared and updated without a lock; which count corrects which moment, and what a race
costs, is in docs/adaptive.md. A penalty divides the step, not the gradient. The kinds under adaptive scaling are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

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
from hogwild.algorithms.stale.adaptive import AdaptiveOptions, decoupled_option, eps_option


class Kind(NamedTuple):
    """A kind of momentum: its rule, its buffers beside q, and its theory for a fixed q."""

    rule: type[rules.AdamW]
    buffers: Mapping[str, Buffer]
    frozen: str


KINDS = {
    "dana-slim": Kind(rules.AdamWSlim, {"v": WORKER}, "dana"),
    "dana": Kind(rules.AdamWDana, {"v": WORKER, "v_sum": SHARED}, "dana"),
    "shifted": Kind(rules.AdamW, {"v": WORKER}, "shifted"),
    "heavy-ball": Kind(rules.AdamW, {"v": SHARED}, "standard"),
}


@dataclass(frozen=True)
class AdamW(AdaptiveOptions, Algorithm):
    """Asynchronous AdamW; by default with private first moments and DANA-Slim's look-ahead."""

    name: ClassVar[str] = "adamw"
    summary: ClassVar[str] = "asynchronous AdamW; private momentum with look-ahead, shared second moment"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": WORKER, "q": SHARED, "snapshot": SNAPSHOT}
    lr: ClassVar[float] = 1e-3
    no_decay: ClassVar[str] = "bias,norm"

    beta1: float = beta1_option()
    beta2: float = beta2_option(0.999)
    eps: float = eps_option(1e-8)
    decoupled: bool = decoupled_option(True)
    momentum_kind: str = option("dana-slim", "what momentum does, and whether workers share it", choices=tuple(KINDS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.momentum_kind == "dana" and self.penalty == "staleness-lr":
            raise ValueError("momentum_kind dana looks ahead by lr, which staleness-lr changes: use another kind")

    def keeps(self) -> Mapping[str, Buffer]:
        return {"x": SHARED, **KINDS[self.momentum_kind].buffers, **self.own_buffers(), "snapshot": SNAPSHOT}

    @property
    def needs_snapshot(self) -> bool:
        return super().needs_snapshot or self.momentum_kind == "dana"

    @property
    def frozen_rule(self) -> str:
        return KINDS[self.momentum_kind].frozen

    def adaptive(self) -> rules.AdamW:
        return KINDS[self.momentum_kind].rule(
            beta1=self.beta1, beta2=self.beta2, eps=self.eps, decoupled=self.decoupled
        )

    def worker(self, w: View) -> Steps:
        momentum = self.adaptive()
        lr, penalty = self.slower(w), self.gap()
        w.pull(momentum)
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lr, momentum=momentum, penalty=penalty)
