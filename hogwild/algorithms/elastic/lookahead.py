"""Lookahead and SNOO: slow weights that follow the fast ones every `period` steps, and from which these start again.

    worker i:   x_i, base_i <- x   at its first step
                v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i;   t_i <- t_i + 1
                if period | t_i:   s = base_i - x_i;   u_i <- n u_i + s
                                   x <- x - a (n u_i + s);   x_i, base_i <- x

n is the outer momentum: without it this is Lookahead, x <- x + a (x_i - base_i); with it SNOO, a Nesterov step on what
the worker moved by, which helps one worker too.

Source: Zhang et al. 2019, Lookahead Optimizer (arXiv:1907.08610): with one worker base_i = x, and x <- x + a (x_i - x).
SNOO: Kallusky et al. 2025 (arXiv:2510.15830), as formula collections state it.
Deviates: several workers share the slow weights x, each with an outer momentum of its own; that is DOWNPOUR with the
rate a, and ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import BELOW_ONE, WORKER, Buffer, View, momentum_option, option
from hogwild.algorithms.elastic.downpour import Downpour
from hogwild.algorithms.elastic.options import RATE, period_option


@dataclass(frozen=True)
class Lookahead(Downpour):
    """Slow weights that go a part of the way of the fast ones."""

    name: ClassVar[str] = "lookahead"
    summary: ClassVar[str] = "slow weights go a part of the workers' way every period steps; with momentum SNOO"

    period: int = period_option(5)
    momentum: float = momentum_option(0.0, "momentum factor m of each worker, kept over exchanges")
    slow_rate: float = option(0.5, "part a of the way that the slow weights go", check=RATE)
    outer_momentum: float = option(0.0, "momentum n of the slow weights, Nesterov (SNOO)", check=BELOW_ONE)

    def keeps(self) -> Mapping[str, Buffer]:
        return {**super().keeps(), **({"u": WORKER} if self.outer_momentum else {})}

    def prepare(self, w: View) -> None:
        a, n = self.slow_rate, self.outer_momentum
        if n:
            w.combine("u", {"u": n, "base": 1, "replica": -1})
        w.combine("replica", {"replica": a, "base": 1 - a, **({"u": -a * n} if n else {})})
