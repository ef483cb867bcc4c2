"""Rescaled ASGD: the step of a worker is as long as its gradients take, so that all workers' data weigh the same.

    worker i:   g = grad F_i(snapshot);   s = (t + 1) / (N (t_i + 1))         t pushes of all N workers, t_i of its own
                v_i <- m v_i + g + wd x;   x <- x - lr min(s, cap) v_i;   snapshot <- x

A worker that takes twice the time makes half of the pushes, each twice as long. asgd instead converges to an optimum in
which workers weigh by their speed; where all have the same data that does not matter, and the steps of slow workers,
which are the longest and the stalest, only cost stability: lr s must lie below the threshold of its delay. The cap is
for that. A worker for which it binds weighs less again; the run tells which.

Source: Mahran, Maranjyan and Richtarik 2026 (arXiv:2605.13434): step sizes in proportion to computation times give the
right optimum without memory, in the model of fixed times.
Deviates: only the abstract was at hand; that the mean of s over the pushes is 1 is ours. Times are measured by counting
pushes, from the start of the run, also in one that was resumed. Momentum is the worker's own; it is not in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    momentum_option,
    option,
)
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class Rescaled(Algorithm):
    """Asynchronous SGD with steps in proportion to the time of a gradient."""

    name: ClassVar[str] = "rescaled"
    summary: ClassVar[str] = "steps in proportion to a worker's time per gradient: unbiased where data differ"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": WORKER, "snapshot": SNAPSHOT}

    cap: float = option(
        10.0, "largest factor of the learning rate; 0: any", check=(lambda c: c == 0 or c >= 1, "a number >= 1, or 0")
    )
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")

    def keeps(self) -> Mapping[str, Buffer]:
        return {name: buffer for name, buffer in self.buffers.items() if name != "v" or self.momentum}

    def remark(self, pushes: Sequence[int]) -> str | None:
        capped = [rank for rank, own in enumerate(pushes) if sum(pushes) > (self.cap or math.inf) * len(pushes) * own]
        if not capped:
            return None
        return f"the cap of {self.cap:g} binds for worker {', '.join(map(str, capped))}: its data weigh less (cap, lr)"

    def worker(self, w: View) -> Steps:
        momentum = HeavyBall(self.momentum) if self.momentum else None

        def rate(_: int) -> float:
            return w.lr * min(self.cap or math.inf, (w.version + 1) / (w.workers * (w.steps + 1)))

        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=rate, momentum=momentum)
