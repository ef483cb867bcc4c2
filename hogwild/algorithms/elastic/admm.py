"""ADMM, round-robin and linearised: consensus by multipliers; a comparison that shows how EASGD does better.

    worker i:   lambda_i <- lambda_i - (x_i - x)
                x_i <- (x_i - lr (g + wd x_i) + lr rho (lambda_i + x)) / (1 + lr rho)
                x   <- mean_j (x_j - lambda_j)

Weight decay is part of a worker's gradient, so the step with it is divided by 1 + lr rho.

Source: Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651), equations 8 to 11: for p >= 3 it is unstable at small lr,
however small, where EASGD is not (hogwild.theory.elastic).
Deviates: x moves by (x_i - x) / p, which is the same mean without reading the other workers. The workers' turns are the
clock's: --clock round-robin is the paper's order; real workers come as they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import GRADIENT, WORKER, Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.options import MODELS, POSITIVE


@dataclass(frozen=True)
class ADMM(Algorithm):
    """Linearised consensus ADMM."""

    name: ClassVar[str] = "admm"
    summary: ClassVar[str] = "consensus by multipliers, one worker at a time"
    takes_groups: ClassVar[bool] = False
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "multiplier": WORKER, "g": GRADIENT}

    rho: float = option(1.0, "penalty rho of a distance from the center", check=POSITIVE)

    def worker(self, w: View) -> Steps:
        while True:
            g = yield Gradient(at=w.replica)
            w.admm(g, self.rho)
