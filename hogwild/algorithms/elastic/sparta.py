"""SPARTA: every few steps the workers average a small random part of their models, which travels while they compute.

    every worker i:   v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i
                      every `period` own steps, B: the part that was sent a period ago, as s_j; then P: another one
                          x_i <- x_i + mean_j s_j - s_i   on B;   s_i <- x_i   on P;   send s_i

A worker sends a fraction of a model at a time. What it has learned meanwhile is kept, and the mean of the models moves
by gradients alone. It waits only if others are more than a period late. The result is the mean of the replicas.

Source: a blog post of EXO Labs (2025), SPARTA, as others retell it: 0.05 to 0.5 % of the parameters every step, up to
ten steps late.
Deviates: B is a run of neighbouring elements, drawn by the number of the round, so in the same order in every run; the
post draws single elements. They are one period late. A worker that was not at the barrier averages at the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from hogwild.algorithms.base import ARRIVE, WAIT, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import MODELS, period_option
from hogwild.algorithms.elastic.outer import mean_of
from hogwild.algorithms.elastic.slots import SENT, slot_of_last, slot_of_next


@dataclass(frozen=True)
class SPARTA(LocalSteps):
    """Averages of random parts of the models, one step late."""

    name: ClassVar[str] = "sparta"
    summary: ClassVar[str] = "averages of a small random part of the models, which travels meanwhile"
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, **SENT}
    barriers_per_round: ClassVar[int] = 1

    fraction: float = option(
        0.005,
        "part of the model that is averaged at a time",
        check=(lambda value: 0 < value <= 1, "a number, 0 < it <= 1"),
    )
    period: int = period_option(1, "own steps between two averages")
    momentum: float = local_momentum_option(0.0)

    def result(self) -> str:
        return "replica"

    def worker(self, w: View) -> Steps:
        momentum, parts = self.step_rule(), w.fragments(round(1 / self.fraction))
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period:
                continue
            yield WAIT  # what all have sent is there
            if w.rank in w.present:
                sent = slot_of_last(w)
                w.combine("replica", {"replica": 1, **mean_of(w, sent), sent: -1}, part=Random(w.round).choice(parts))
            following = w.round + 1 if w.present else 0
            w.combine(slot_of_next(w), {"replica": 1}, part=Random(following).choice(parts))
            yield ARRIVE
