"""Asynchronous DiLoCo with delayed Nesterov momentum: no worker waits; momentum is applied once in N pushes.

    worker i:   v_i <- m_i v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i
                every `period` own steps:   d = base_i - x_i
    center:     c <- c + d
                t-th push, N | t:   u <- m u + c / N;   c <- 0;   x <- x - a (m u + d / N)
                otherwise:          x <- x - a d / N
    worker i:   x_i, base_i <- x

Source: Liu et al. 2024, Asynchronous Local-SGD Training for Language Modeling (arXiv:2401.09135): delayed Nesterov.
Deviates: the formula is recalled, only the idea is in the abstract. The inner optimizer is AdamW with local_rule adamw,
SGD with momentum by default. Pushes to the center are made one at a time, and t counts them over all workers. Weight
decay is in the workers' steps; the outer step has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    BELOW_ONE,
    SHARED,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Place,
    Scope,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.algorithms.elastic.options import AT_LEAST_ONE, COUNT, MODELS, LocalRule, period_option
from hogwild.algorithms.elastic.slowmo import POSITIVE


@dataclass(frozen=True)
class AsyncDiLoCo(LocalRule, Algorithm):
    """DiLoCo without rounds."""

    name: ClassVar[str] = "async-diloco"
    summary: ClassVar[str] = "workers push what they moved by; the center's momentum acts once in N pushes"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        **MODELS, "base": Buffer(Scope.WORKER, starts="x"), "v": WORKER, "delta": WORKER, "u": SHARED, "c": SHARED,
        "pushed": COUNT,
    }  # fmt: skip

    period: int = period_option(50, "own steps between two pushes")
    momentum: float = momentum_option(0.9, "momentum factor m of each worker, kept over exchanges")
    outer_every: int = option(4, "pushes N that one use of the outer momentum stands for", check=AT_LEAST_ONE)
    outer_momentum: float = option(0.9, "momentum of the outer step", check=BELOW_ONE)
    outer_lr: float = option(0.7, "rate a of the outer step", check=POSITIVE)

    def keeps(self) -> Mapping[str, Buffer]:
        return {name: buffer for name, buffer in self.buffers.items() if name != "v"} | self.step_buffers()

    def worker(self, w: View) -> Steps:
        a, m, every = self.outer_lr, self.outer_momentum, self.outer_every
        momentum = self.step_rule()
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period:
                continue
            w.combine("delta", {"base": 1, "replica": -1})
            with w.exclusive():
                w.combine("c", {"c": 1, "delta": 1})
                step: dict[Place, float] = {"x": 1, "delta": -a / every}
                count = w.buffer("pushed")
                count += 1
                if count % every == 0:
                    w.combine("u", {"u": m, "c": 1 / every})
                    w.combine("c", {"c": 0})
                    step["u"] = -a * m
                w.combine("x", step)
            w.adopt()
            w.combine("base", {"replica": 1})
