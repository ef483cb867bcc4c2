"""GPA: generalised primal averaging. The model is a running average of the point that gradients move.

    worker:   snapshot y = b x + (1 - b) z;   d = grad F(y) + wd x
    master:   z <- z - lr d;   x <- a x + (1 - a) z;   x is the model

x follows z over about 1 / (1 - a) updates, without periods, and needs no decay of lr to become calm; b says how near to
the average gradients are taken: 1 there, 0 at z. All of it is one shared buffer v = x - z beside x, 24 bytes a push.

Source: arXiv:2512.17131 (2025), as formula collections state it; a = 0.9, b = 0.8 there for one worker.
Deviates: several workers share z and x, which is ours. Weight decay is taken at x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import BELOW_ONE, SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.rules import PrimalAverage


@dataclass(frozen=True)
class GPA(Algorithm):
    """Asynchronous SGD with a running average of the iterates as the model."""

    name: ClassVar[str] = "gpa"
    summary: ClassVar[str] = "the model is a running average of the point that gradients move"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}
    needs_snapshot: ClassVar[bool] = True

    averaging: float = option(0.9, "weight a of the old average in an update", check=BELOW_ONE)
    interpolation: float = option(
        0.8,
        "weight b of the average in the point of the gradients",
        check=(lambda b: 0 <= b <= 1, "a number, 0 <= number <= 1"),
    )

    def worker(self, w: View) -> Steps:
        rule = PrimalAverage(self.averaging, self.interpolation)
        w.pull(rule)
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=rule)
