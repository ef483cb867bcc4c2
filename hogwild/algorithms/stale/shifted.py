"""Shifted momentum: every worker keeps its own momentum, so that momentum is exactly as old as the gradient.

    worker i:   snapshot <- x;   g = grad F(snapshot);   v_i <- m v_i + (1 - d) (g + wd x);   x <- x - lr v_i

With N workers in turn (delay tau = N - 1) this is v_{t+1} = m v_{t-tau} + (1 - d) g(x_{t-tau}): the momentum term is
shifted by the delay. Its largest stable lr falls like 1/delay, and with d = m it rises with m instead of falling.

Source: Giladi et al. 2020, At Stability's Edge (arXiv:1909.12340), shifted momentum; the characteristic polynomial is
(z - 1)(z^(tau+1) - m) + (1 - d) lr a z = 0 for curvature a.
Deviates: with first_step = torch the first update of each v_i is undampened, as in torch.optim.SGD and the authors'
code; at d = 0.9 the first N updates are then ten times as large. first_step = damped does without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    SHARED,
    SNAPSHOT,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Steps,
    View,
    dampening_option,
    first_step_option,
    momentum_option,
)
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class ShiftedMomentum(Algorithm):
    """Asynchronous SGD with private momentum buffers."""

    name: ClassVar[str] = "shifted"
    summary: ClassVar[str] = "asynchronous SGD with shifted (private) momentum"
    stability_rule: ClassVar[str | None] = "shifted"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": WORKER, "snapshot": SNAPSHOT}

    momentum: float = momentum_option(0.9, "momentum factor m of the private buffers")
    dampening: float = dampening_option()
    first_step: str = first_step_option()

    def worker(self, w: View) -> Steps:
        momentum = HeavyBall(self.momentum, self.dampening, torch_first_step=self.first_step == "torch")
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
