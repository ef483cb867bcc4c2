"""ASGD: asynchronous SGD, lock-free on a shared master (Hogwild!).

    worker:   snapshot <- x;   g = grad F(snapshot);   v <- m v + g + wd x;   x <- x - lr v

Source: Recht et al. 2011 (NIPS), Hogwild!, for the lock-free update of a shared x; with momentum the buffer v is shared
by all workers, as a parameter server keeps it.
Deviates: the update is dense. Recht et al. prove convergence for sparse updates and a bounded lag. With first_step =
torch the first update of v is undampened, as in torch.optim.SGD; first_step = damped does without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    SHARED,
    WORKER,
    Algorithm,
    Gradient,
    Scope,
    Steps,
    View,
    dampening_option,
    first_step_option,
    momentum_option,
)
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class ASGD(Algorithm):
    """Asynchronous SGD; momentum, if any, in one buffer that all workers share."""

    name: ClassVar[str] = "asgd"
    summary: ClassVar[str] = "asynchronous SGD on the shared master (Hogwild!)"
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Scope]] = {"x": SHARED, "v": SHARED, "snapshot": WORKER}

    momentum: float = momentum_option(0.0, "momentum factor m of the shared buffer")
    dampening: float = dampening_option()
    first_step: str = first_step_option()

    def worker(self, w: View) -> Steps:
        rule = HeavyBall(self.momentum, self.dampening, torch_first_step=self.first_step == "torch")
        momentum = rule if self.momentum else None
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
