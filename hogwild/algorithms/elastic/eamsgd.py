"""EAMSGD: elastic averaging with Nesterov momentum in each worker; the velocity never travels.

    worker i:   if period | t_i:   d = alpha (x_i - x);   x_i <- x_i - d;   x <- x + d       (x_i before the step)
                v_i <- m v_i - lr grad F(x_i + m v_i);   x_i <- x_i + v_i;   t_i <- t_i + 1

The replica holds the point y_i = x_i + m v_i at which the gradient is taken, so that nothing has to be moved for it:

                v <- m v + g + wd y;   y <- y - lr (g + wd y + m v) - d,   d = alpha (y + lr m v_before - x)

Step and exchange are one pass, 28 bytes a parameter, 20 without exchange.

Source: Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651), Algorithm 2.
Deviates: v is kept without its factor -lr, as torch.optim.SGD keeps it: the same for a constant lr, and it follows a
schedule at once. Weight decay is taken at y, as in the authors' code. With evaluate = mean the result is the mean of y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import WORKER, Buffer, momentum_option
from hogwild.algorithms.elastic.easgd import ElasticAveraging
from hogwild.algorithms.elastic.options import MODELS
from hogwild.rules import Momentum, Nesterov


@dataclass(frozen=True)
class EAMSGD(ElasticAveraging):
    """Asynchronous elastic averaging with Nesterov momentum."""

    name: ClassVar[str] = "eamsgd"
    summary: ClassVar[str] = "elastic averaging with Nesterov momentum in the workers"
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "v": WORKER}

    momentum: float = momentum_option(0.99, "momentum factor m of each worker")

    def __post_init__(self) -> None:
        if self.momentum and self.exchange == "post":
            raise ValueError("exchange post moves the look-ahead point with momentum: use exchange paper")

    def step_rule(self) -> Momentum | None:
        return Nesterov(self.momentum) if self.momentum else None

    def step_buffers(self) -> dict[str, Buffer]:
        return {"v": WORKER}
