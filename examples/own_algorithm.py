"""An algorithm of your own, in 25 lines:  hogwild train --algorithm own_algorithm:Fading --rho 0.8 --workers 4

    worker:  snapshot <- x;  g = grad F(snapshot);  tau = its delay in updates;  v <- m v + rho^tau g;  x <- x - lr v

Old gradients fade out exponentially, as Chan and Lane (2014) propose. Those older than `patience` are dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class Fading(Algorithm):
    name: ClassVar[str] = "fading"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}
    rho: float = option(0.9, "what a gradient is multiplied by for each update of delay")
    momentum: float = option(0.5, "momentum factor m")
    patience: int = option(100, "the largest delay of a gradient that is used, in updates")

    def worker(self, w: View) -> Steps:
        def lr(tau: int) -> float | None:
            return w.lr if tau <= self.patience else None  # None: the gradient is dropped

        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lr, scale=lambda tau: self.rho**tau, momentum=HeavyBall(self.momentum))
