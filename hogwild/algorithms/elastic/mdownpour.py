"""MDOWNPOUR: every gradient into the center, which has Nesterov momentum.

    worker:   snapshot <- x;   g = grad F(snapshot)
    master:   v <- m v + g + wd x;   x <- x - lr (g + wd x + m v)      form = m2, Nesterov in look-ahead coordinates
              v <- m v + g + wd x;   x <- x - lr m v                   form = m1

Source: Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651), Algorithms 4 and 5: Nesterov momentum on the master, period
1. m2 is derived from that; m1 is Algorithm 5 as recalled, heavy-ball momentum at the rate lr m, which with m = 0 stands
still and is therefore refused.
Deviates: v is kept without its factor -lr, as torch.optim.SGD keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option, option
from hogwild.rules import HeavyBall, Nesterov


@dataclass(frozen=True)
class MomentumDownpour(Algorithm):
    """DOWNPOUR of period 1 with Nesterov momentum on the center."""

    name: ClassVar[str] = "mdownpour"
    summary: ClassVar[str] = "downpour of period 1 with Nesterov momentum on the center"
    stability_rule: ClassVar[str | None] = "nesterov"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}
    nesterov: ClassVar[bool] = True
    takes_tables: ClassVar[bool] = False

    momentum: float = momentum_option(0.9, "momentum factor m of the center")
    form: str = option("m2", "m2: Nesterov; m1: as recalled from the paper", choices=("m2", "m1"))

    def __post_init__(self) -> None:
        if self.form == "m1" and not self.momentum:
            raise ValueError("form m1 moves by m v, and m is 0: give a momentum, or use form m2")

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            if self.form == "m2":
                w.push(g, momentum=Nesterov(self.momentum))
            else:
                w.push(g, momentum=HeavyBall(self.momentum), lr=lambda _: w.lr * self.momentum)
