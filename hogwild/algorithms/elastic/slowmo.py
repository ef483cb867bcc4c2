"""SlowMo and DiLoCo: local SGD; its averages are steps of an outer optimizer with momentum.

    as local-sgd between averages; then, with delta = x - mean_j x_j,
    slowmo:   u <- m u + delta;   x <- x - a u            (block momentum)
    diloco:   u <- m u + delta;   x <- x - a (delta + m u)       (Nesterov)
    and every worker starts again from x

Source: SlowMo, Wang et al. 2020 (arXiv:1910.00643): m = 0.5, a = 1, period 48 in a public implementation. DiLoCo,
Douillard et al. 2023 (arXiv:2311.08105): Nesterov with rate 0.7 and momentum 0.9, periods of about 500.
Outer rates above 1 can be the best ones, below 1 without momentum they rarely are (arXiv:2509.10439, the abstract); the
more workers, the more DiLoCo loses against averaging every step (arXiv:2505.23725).
Deviates: the default period of diloco is 50: its runs here are shorter. u is kept in units of x: SlowMo divides delta
by lr and multiplies u by it, the same for a constant lr, and nothing here is divided by lr. The inner optimizer of
DiLoCo is AdamW: local_rule adamw; by default it is SGD with momentum here. Weight decay is in the workers' steps; the
outer step has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, Buffer, Place, View
from hogwild.algorithms.elastic.local_sgd import LocalSGD
from hogwild.algorithms.elastic.local_steps import local_momentum_option
from hogwild.algorithms.elastic.options import period_option
from hogwild.algorithms.elastic.outer import mean_of, outer_lr_option, outer_momentum_option


@dataclass(frozen=True)
class SlowMo(LocalSGD):
    """Local SGD with slow momentum on the averages."""

    name: ClassVar[str] = "slowmo"
    summary: ClassVar[str] = "local SGD with momentum on the averages"
    buffers: ClassVar[Mapping[str, Buffer]] = {**LocalSGD.buffers, "u": SHARED, "delta": SHARED}

    period: int = period_option(48, "own steps between two averages")
    outer_momentum: float = outer_momentum_option(0.5)
    outer_lr: float = outer_lr_option(1.0)

    def outer(self, w: View) -> None:
        w.combine("delta", {"x": 1, **mean_of(w, "replica", -1)}, share=True)
        w.combine("u", {"u": self.outer_momentum, "delta": 1}, share=True)
        w.combine("x", self.outer_step(), share=True)

    def outer_step(self) -> dict[Place, float]:
        return {"x": 1, "u": -self.outer_lr}


@dataclass(frozen=True)
class DiLoCo(SlowMo):
    """Local SGD with an outer Nesterov step."""

    name: ClassVar[str] = "diloco"
    summary: ClassVar[str] = "local SGD with a Nesterov step on the averages"

    period: int = period_option(50, "own steps between two averages")
    momentum: float = local_momentum_option(0.9)
    outer_momentum: float = outer_momentum_option(0.9)
    outer_lr: float = outer_lr_option(0.7)

    def outer_step(self) -> dict[Place, float]:
        return {"x": 1, "delta": -self.outer_lr, "u": -self.outer_lr * self.outer_momentum}
