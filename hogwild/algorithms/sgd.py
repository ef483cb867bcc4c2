"""SGD: the serial method, one worker. What every other algorithm here must equal when it has one worker.

    x <- x - lr (g + wd x)                                  momentum = 0
    v <- m v + (1 - d) (g + wd x);   x <- x - lr v          momentum = m, dampening = d
    ...                              x <- x - lr (g + wd x + m v)   with nesterov

Source: the update of torch.optim.SGD (documentation of torch.optim.SGD), including its undampened first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    SHARED,
    SNAPSHOT,
    Algorithm,
    Buffer,
    Gradient,
    Steps,
    View,
    dampening_option,
    momentum_option,
    option,
)
from hogwild.rules import HeavyBall, Nesterov


@dataclass(frozen=True)
class SGD(Algorithm):
    """Serial SGD with momentum; refuses a second worker."""

    name: ClassVar[str] = "sgd"
    summary: ClassVar[str] = "serial SGD with momentum: one worker, the reference"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}
    max_workers: ClassVar[int | None] = 1

    momentum: float = momentum_option(0.0)
    dampening: float = dampening_option()
    nesterov: bool = option(False, "Nesterov momentum")

    @property
    def stability_rule(self) -> str:
        return "nesterov" if self.nesterov else "standard"

    def worker(self, w: View) -> Steps:
        rule = Nesterov if self.nesterov else HeavyBall
        momentum = rule(self.momentum, self.dampening) if self.momentum else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
