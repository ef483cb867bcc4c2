"""DOWNPOUR: workers take `period` steps of their own, add their movement to the center, and start again from it.

    worker i:   x_i, base_i <- x   at its first step
                v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i;   t_i <- t_i + 1
                if period | t_i:   x <- x + (x_i - base_i);   x_i, base_i <- x

With delay_limit R what is handed in counts only if the center has taken fewer than R gradients since x_i was read from
it; else it is lost, and x_i <- x. That is Async-Local SGD. Where workers have different data, what slow workers have
learned is lost with it: leave the limit out there.

A step is 12 bytes a parameter and an exchange 24. With period 1 this is plain asynchronous SGD.
local_rule adamw, rmsprop, lion: the steps of that rule, with moments of the worker's own.

Source: Dean et al. 2012, Large Scale Distributed Deep Networks (NIPS), as Zhang, Choromanska and LeCun 2015
(arXiv:1412.6651) state it for comparison (Algorithm 3, recalled; it agrees with the authors' code). The limit: Birch
SGD (ICLR 2026), time-optimal, and the best or nearly so in all four regimes of its simulations.
Deviates: the sum of the steps is taken as x_i - base_i and not accumulated beside x_i: the same numbers, and 8 bytes a
step less. An exchange follows the last step of a period, where the paper has it before the next step. The center is
updated in place, under the access policy of the run; with a limit by one worker at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import NOT_NEGATIVE, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.elastic.ages import AGES, adopt_center, age, count
from hogwild.algorithms.elastic.local_steps import LocalSteps, local_momentum_option
from hogwild.algorithms.elastic.options import MODELS, OWN_X, period_option


@dataclass(frozen=True)
class Downpour(LocalSteps):
    """Accumulated steps into the center, and a fresh start from it."""

    name: ClassVar[str] = "downpour"
    summary: ClassVar[str] = "workers hand in the sum of period steps and start again from the center"
    buffers: ClassVar[Mapping[str, Buffer]] = {**MODELS, "base": OWN_X}

    period: int = period_option(4)
    momentum: float = local_momentum_option(0.0, "exchanges")

    delay_limit: int = option(
        0, "R: what is handed in counts below that many gradients of all since the start; 0: always", check=NOT_NEGATIVE
    )

    def keeps(self) -> Mapping[str, Buffer]:
        return {**super().keeps(), **(AGES if self.delay_limit else {})}

    def worker(self, w: View) -> Steps:
        momentum = self.step_rule()
        if not w.steps:
            w.deliver()  # nothing yet: the center may have moved since the run began
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            if w.steps % self.period == 0:
                self.hand_in(w)

    def hand_in(self, w: View) -> None:
        """The exchange with the center."""
        if not self.delay_limit:
            self.prepare(w)
            w.deliver()
            self.delivered(w)
            return
        with w.exclusive():
            counts = age(w) < self.delay_limit
            if counts:
                self.prepare(w)
                w.combine("x", {"x": 1, "replica": 1, "base": -1})
                count(w, self.period)
            adopt_center(w)
        if counts:
            self.delivered(w)

    def prepare(self, w: View) -> None:
        """Called before every exchange that counts: may move the replica."""

    def delivered(self, w: View) -> None:
        """Called after every exchange that counts."""
