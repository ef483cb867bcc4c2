"""Picky SGD: a gradient is dropped if the master has moved too far from the point at which it was taken.

    worker:   g = grad F(snapshot)
              x <- x - lr (g + wd x)   if ||x - snapshot|| <= c,   else nothing;   snapshot <- x

The distance counts, not the delay: a late gradient is used while the master stands still. With c in proportion to the
wanted norm of the gradient over the smoothness, the time depends on the mean delay alone, and c on no delay.
A worker that is always too far away never contributes; the run warns of it.

Source: Cohen, Daniely, Drori, Koren and Schain 2021, Asynchronous Stochastic Optimization Robust to Arbitrary Delays
(arXiv:2106.11879), as recalled; the rule is checked on a quadratic.
Deviates: the norm is that of all parameters; where pushes race it is that of a master which others are changing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View, option


@dataclass(frozen=True)
class Picky(Algorithm):
    """Asynchronous SGD that lets gradients from far away fall."""

    name: ClassVar[str] = "picky"
    summary: ClassVar[str] = "drops gradients when the master has moved too far since"
    stability_rule: ClassVar[str | None] = "standard"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}
    needs_snapshot: ClassVar[bool] = True
    takes_tables: ClassVar[bool] = False  # their rows are not in the distance

    distance_limit: float = option(
        1.0, "c: gradients from farther away are dropped", check=(lambda value: value > 0, "a number > 0")
    )

    def worker(self, w: View) -> Steps:
        def rate(_: int) -> float | None:
            return w.lr if float(w.x.dist(w.snapshot)) <= self.distance_limit else None

        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=rate)
