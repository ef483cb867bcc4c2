"""Asynchronous DiLoCo with delayed Nesterov momentum: no worker waits; momentum is applied once in N pushes.

    worker i:   v_i <- m_i v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i
                every `period` own steps:   d = base_i - x_i
    center:     k <- k + d
                t-th push, N | t:   u <- m u + k / N;   k <- 0;   x <- x - a ((1 - c N + c) m u + d / N)
                otherwise:          x <- x - a (c m u + d / N)
    worker i:   x_i, base_i <- x

c, the activation, is the share of the momentum that every push but the last of N applies. With local_steps = speed a
worker that is slower than the fastest by a factor s takes period / s steps between two pushes, so that all push equally
often.

Source: Liu et al. 2024, Asynchronous Local-SGD Training for Language Modeling (arXiv:2401.09135): delayed Nesterov, and
dynamic local updates. The formula agrees with public code (DelayedNesterovOptimizer of HALoS) in all digits; defaults
are those of its runs: N is 0.5 to 4 times the workers, a / N from 0.05 to 0.2.
Deviates: the inner optimizer is AdamW with local_rule adamw, SGD with momentum by default. Pushes to the center are
made one at a time, and t counts them over all workers. Speeds are compared by the steps that workers have taken, which
holds while all take part. Weight decay is in the workers' steps; the outer step has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import NOT_NEGATIVE, SHARED, WORKER, Buffer, Gradient, Scope, Steps, View, option
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import COUNT, MODELS, OWN_X, RATE, period_option
from hogwild.algorithms.elastic.outer import outer_momentum_option

TAKEN = Buffer(Scope.REPLICA, size=2, dtype="float64")  # steps so far, and at the last push; the others read them
RATE_OF_ONE = 0.15  # the outer rate for each push that N stands for


@dataclass(frozen=True)
class AsyncDiLoCo(LocalSteps):
    """DiLoCo without rounds."""

    name: ClassVar[str] = "async-diloco"
    summary: ClassVar[str] = "workers push what they moved by; the center's momentum acts once in N pushes"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        **MODELS, "base": OWN_X, "delta": WORKER, "u": SHARED, "c": SHARED,
        "pushed": COUNT,
    }  # fmt: skip

    period: int = period_option(50, "own steps between two pushes")
    local_steps: str = option("fixed", "own steps: period, or in proportion to speed", choices=("fixed", "speed"))
    momentum: float = local_momentum_option(0.9, "exchanges")
    outer_every: int = option(0, "pushes N to one use of the outer momentum; 0: twice the workers", check=NOT_NEGATIVE)
    outer_momentum: float = outer_momentum_option(0.9)
    outer_lr: float = option(
        0.0, "rate a of the outer step; 0: 0.15 outer_every", check=(lambda a: a >= 0, "a number >= 0")
    )
    activation: float = option(0.0, "share c of the momentum in every push, at most 1 / outer_every", check=RATE)

    def keeps(self) -> Mapping[str, Buffer]:
        return {**super().keeps(), **({"taken": TAKEN} if self.local_steps == "speed" else {})}

    def gradients_per_update(self, workers: int) -> int:
        every = self.outer_every or 2 * workers
        if self.activation * every > 1:
            raise ValueError(f"activation is {self.activation:g}: use at most 1 / outer_every, here {1 / every:g}")
        return 1

    def worker(self, w: View) -> Steps:
        momentum = self.step_rule()
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if not self.is_due(w):
                continue
            w.combine("delta", {"base": 1, "replica": -1})
            w.submit("delta", self.outer)
            w.adopt()
            w.combine("base", {"replica": 1})

    def outer(self, w: View) -> None:
        """The step of the center with the `delta` of one push."""
        every, m, c = self.outer_every or 2 * w.workers, self.outer_momentum, self.activation
        a = self.outer_lr or RATE_OF_ONE * every
        w.combine("c", {"c": 1, "delta": 1})
        count = w.buffer("pushed")
        count += 1
        flushes = count % every == 0
        if flushes:
            w.combine("u", {"u": m, "c": 1 / every})
            w.combine("c", {"c": 0})
        used = -a * m * (1 - c * every + c if flushes else c)
        w.combine("x", {"x": 1, "delta": -a / every, **({"u": used} if used else {})})

    def is_due(self, w: View) -> bool:
        """Whether the worker pushes after this step."""
        if self.local_steps == "fixed":
            return w.steps % self.period == 0
        own = w.buffer("taken")
        own[0] = w.steps
        fastest = max(float(w.buffer(("taken", j))[0]) for j in range(w.workers))
        due = w.steps - float(own[1]) >= max(1, int(self.period * w.steps / fastest))
        if due:
            own[1] = w.steps
        return due
