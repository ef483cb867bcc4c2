"""Ringmaster with Muon: directions of equal singular values, and gradients that are too old are dropped.

    worker i:   g = grad F(snapshot);   tau = versions since the snapshot
                v_i <- m v_i + (1 - m) g;   u = m v_i + (1 - m) g
                d = sqrt(max(1, rows / columns)) NS(u) for matrices,   u for other parameters
                x <- x - lr (d + wd x)   if tau < R,   else nothing, v_i as it was;   snapshot <- x

NS: five Newton-Schulz steps with the coefficients of Polar Express (orthogonal.py), which bring the singular values of
u / ||u|| near 1. The learning rate is then the size of a step, whatever the size of the gradient.

Source: public code (vectozavr/ringmaster-lmo); arXiv:2605.18174. Muon: Jordan et al. 2024.
Deviates: the momentum is the worker's own. Kernels of convolutions are matrices [out, rest]. NS is computed by the
worker, in the master's precision. --clip bounds the norm of d. A gradient that is refused leaves v as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    NOT_NEGATIVE,
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
from hogwild.algorithms.stale.orthogonal import direction


@dataclass(frozen=True)
class RingmasterMuon(Algorithm):
    """Muon with private momenta, which lets gradients of delay R or more fall."""

    name: ClassVar[str] = "ringmaster-muon"
    summary: ClassVar[str] = "Muon: orthogonalised momentum of each worker; drops late gradients"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": WORKER, "snapshot": SNAPSHOT}
    lr: ClassVar[float] = 0.02
    takes_tables: ClassVar[bool] = False

    momentum: float = momentum_option(0.95, "weight m of each worker's old momentum")
    delay_limit: int = option(0, "R: delays below it are used; 0: twice the number of workers", check=NOT_NEGATIVE)

    def worker(self, w: View) -> Steps:
        limit, new, momenta = self.delay_limit or 2 * w.workers, 1 - self.momentum, w.parts("v")
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            pairs = [(v, part.to(v.dtype)) for v, part in zip(momenta, g, strict=True) if part is not None]
            moved = [v.lerp(part, new) for v, part in pairs]
            directions = (direction(v.lerp(part, new)) for v, (_, part) in zip(moved, pairs, strict=True))
            steps = w.steps
            w.push(
                [None if part is None else next(directions) for part in g],
                lr=lambda delay: w.lr if delay < limit else None,
            )
            if w.steps > steps:
                for (v, _), after in zip(pairs, moved, strict=True):
                    v.copy_(after.where(after.isfinite(), v))  # guard element lets the rest of a gradient through
