"""Streaming DiLoCo: fragments of the model are averaged in turn, and what comes back is applied some steps later.

    every worker i, t own steps:   v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i
    fragment p of P, when H divides t + floor(p H / P):   send x_ip
    `overlap` steps later:   d = c_p - mean_j x_jp as sent;   u_p <- n u_p + d;   c_p <- c_p - a (d + n u_p);
                             x_ip <- c_p + alpha (x_ip - c_p)

c is the center, the same in all workers, and the result. P = 1, overlap = 0, alpha = 0 is diloco. A worker sends 1 / P
of the model at a time and waits for the others only if they are more than `overlap` steps late.

Source: Douillard et al. 2025 (arXiv:2501.18512), and public code (torchft, where alpha is 0).
Deviates: fragments are equal parts of the flat model, not layers. Every worker keeps c and u of its own; one that was
away goes on from its old ones, and the difference decays with the averages. The inner optimizer is AdamW with
local_rule adamw, SGD with momentum by default. A resumed run leaves out the fragment that was under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import ARRIVE, WAIT, WORKER, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.fragments import Fragmented
from hogwild.algorithms.elastic.local_steps import local_momentum_option
from hogwild.algorithms.elastic.options import MODELS, OWN_X, RATE
from hogwild.algorithms.elastic.outer import mean_of, outer_lr_option, outer_momentum_option
from hogwild.algorithms.elastic.slots import SENT, slot_of_last, slot_of_next


@dataclass(frozen=True)
class StreamingDiLoCo(Fragmented):
    """DiLoCo with fragments that travel while workers compute."""

    name: ClassVar[str] = "streaming-diloco"
    summary: ClassVar[str] = "diloco by fragments in turn, which travel while the workers go on"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        **MODELS, **SENT, "c": OWN_X, "u": WORKER, "delta": WORKER,
    }  # fmt: skip
    barriers_per_round: ClassVar[int] = 1

    alpha: float = option(0.5, "part of its distance from the center that a worker keeps", check=RATE)
    momentum: float = local_momentum_option(0.9)
    outer_momentum: float = outer_momentum_option(0.9, "momentum n of the outer step")
    outer_lr: float = outer_lr_option(0.7)

    def worker(self, w: View) -> Steps:
        momentum, parts = self.step_rule(), w.fragments(self.fragments)
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if (p := self.due(w.steps)) is not None:
                w.combine(slot_of_next(w), {"replica": 1}, part=parts[p])
                yield ARRIVE
            if (p := self.due(w.steps - self.overlap)) is not None:
                yield WAIT
                if w.present:
                    self.outer(w, parts[p])

    def outer(self, w: View, part: tuple[int, int]) -> None:
        """The outer step of a fragment that has come back."""
        a, n = self.outer_lr, self.outer_momentum
        w.combine("delta", {"c": 1, **mean_of(w, slot_of_last(w), -1)}, part=part)
        w.combine("u", {"u": n, "delta": 1}, part=part)
        w.combine("c", {"c": 1, "delta": -a, "u": -a * n}, part=part)
        w.combine("replica", {"replica": self.alpha, "c": 1 - self.alpha}, part=part)
        if w.rank == w.present[0]:
            w.combine("x", {"c": 1}, part=part)
