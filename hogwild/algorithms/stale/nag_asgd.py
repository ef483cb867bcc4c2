"""NAG-ASGD: asynchronous SGD with Nesterov momentum in one shared buffer.

    worker:   snapshot <- x;   g = grad F(snapshot);   d = g + wd x;   v <- m v + d;   x <- x - lr (d + m v)

Source: the NAG-ASGD baseline of Hakimi et al. 2019 (arXiv:1907.11612) and Barkai et al. 2020 (arXiv:1909.10802); the
Nesterov step in the form of torch.optim.SGD(nesterov=True).
Deviates: the momentum buffer is updated lock-free like x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.rules import Nesterov


@dataclass(frozen=True)
class NAGASGD(Algorithm):
    """Asynchronous SGD with shared Nesterov momentum: what delay breaks first."""

    name: ClassVar[str] = "nag-asgd"
    summary: ClassVar[str] = "asynchronous SGD with shared Nesterov momentum"
    stability_rule: ClassVar[str | None] = "nesterov"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}

    nesterov: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the shared buffer")

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=Nesterov(self.momentum))
