"""SMEGA2: a look-ahead that needs one momentum buffer for all workers instead of one each.

    push:   d = g + wd x;   b <- b + d;   x <- x - lr (d + m v)
            every N-th push:   v <- m v + b / N;   b <- 0
    pull:   snapshot <- x - lr m ((N + c (m - 1)) v + (c / N) b)       c = pushes since the last N-th one

Source: Cohen et al. 2022, SMEGA2 (ICPP), and the authors' code; advanced = false gives the naive pull x - lr m N v.
Deviates: none known. What a push does depends on its number, so workers need --access locked (or the simulator).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option, option
from hogwild.rules import Smega2


@dataclass(frozen=True)
class SMEGA2(Algorithm):
    """Asynchronous SGD with one shared momentum, updated every N pushes, and a look-ahead by it."""

    name: ClassVar[str] = "smega2"
    summary: ClassVar[str] = "look-ahead with a single momentum buffer"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "b": SHARED, "snapshot": SNAPSHOT}
    numbers_pushes: ClassVar[bool] = True
    needs_snapshot: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the shared buffer")
    advanced: bool = option(True, "look ahead by the gradients gathered since the last momentum update too")

    def worker(self, w: View) -> Steps:
        momentum = Smega2(self.momentum, w.workers, self.advanced)
        w.pull(momentum)
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
