"""NAG-ASGD: asynchronous SGD with Nesterov momentum in one shared buffer.

    worker:   snapshot <- x;   g = grad F(snapshot);   d = g + wd x;   v <- m v + d;   x <- x - lr (d + m v)

The step is v' + l (v' - v) with l = m: ahead gives another factor l of the look-ahead, 0 heavy ball's. That is also the
correction of a delayed update by the difference of the last two ("error feedback"), for which the papers keep a model
more. Near a minimum it raises the largest stable lr at a delay of 1 (m = 0.9: 1.7 times at l = 0.5, 2.7 times at l = 1)
and ever less at longer ones; with a private v it keeps doing so (dana-slim).

Source: the NAG-ASGD baseline of Hakimi et al. 2019 (arXiv:1907.11612) and Barkai et al. 2020 (arXiv:1909.10802); the
Nesterov step in the form of torch.optim.SGD(nesterov=True);
arXiv:2606.30634 for the correction, its formula not read.
Deviates: the momentum buffer is updated lock-free like x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, momentum_option
from hogwild.algorithms.stale.looking_ahead import ahead_option, looking_ahead


@dataclass(frozen=True)
class NAGASGD(Algorithm):
    """Asynchronous SGD with shared Nesterov momentum: what delay breaks first."""

    name: ClassVar[str] = "nag-asgd"
    summary: ClassVar[str] = "asynchronous SGD with shared Nesterov momentum"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}

    nesterov: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the shared buffer")
    ahead: float | None = ahead_option()

    @property
    def stability_rule(self) -> str | None:
        return "nesterov" if self.ahead in (None, self.momentum) else None

    def worker(self, w: View) -> Steps:
        momentum = looking_ahead(self.momentum, self.ahead)
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum)
