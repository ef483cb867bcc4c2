"""SGP: push-sum without rounds. A worker gives half of its model and of its mass to a peer's mailbox, and goes on.

    worker i:   z_i = x_i / w_i;   g = grad F_i(z_i);   x_i <- x_i - lr (w_i g + wd x_i)
                x_i <- x_i + box_i;   w_i <- w_i + box_w_i;   box_i, box_w_i <- 0
                j = i + 2^k, k in turn, if w_i >= floor and box_w_j <= ceiling:
                    box_j <- box_j + x_i / 2;   box_w_j <- box_w_j + w_i / 2;   x_i <- x_i / 2;   w_i <- w_i / 2

sum_i (x_i + box_i) moves by gradients and weight decay only, and sum_i (w_i + box_w_i) stays N, however slow a worker
is; x_i / w_i follows the mean. The result is the mean of the z_i.

Weight decay: x_i = w_i z_i has the factor w_i already, so the step divided by w_i is z_i <- z_i - lr (g + wd z_i), that
of SGD. The part of the model that lies in a mailbox neither takes gradients nor decays until it is collected. The mean
model therefore moves by lr (g + wd z) times the share of the mass outside the mailboxes, 2/3 with two workers in turn;
gradient and weight decay keep their proportion, and the optimum is that of F(x) + wd |x|^2 / 2.

Source: Assran et al. 2019, Stochastic Gradient Push (arXiv:1811.10792).
Deviates: mailboxes in shared memory in place of rounds of messages; without rounds w_i strays from 1, so the gradient
is multiplied by it, for z_i to move by lr g. Floor and ceiling are ours: without them a worker that stands still
swallows the mass of all others, and their w goes to zero; with them w_i >= floor / 2. A transfer holds the run's one
lock; a worker killed inside one may leave a box whose x and w do not belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import MODEL, REPLICA, SHARED, Algorithm, Buffer, Gradient, Scope, Steps, View

FLOOR, CEILING = 1 / 16, 4.0
MASS = Buffer(Scope.REPLICA, starts="one", size=2, dtype="float64")  # the worker's own, and that in its mailbox


@dataclass(frozen=True)
class StochasticGradientPush(Algorithm):
    """Push-sum over one-peer exponential graphs, asynchronous."""

    name: ClassVar[str] = "sgp"
    summary: ClassVar[str] = "push-sum: half of the model into a peer's mailbox; no worker waits"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED, "replica": MODEL, "z": MODEL, "box": REPLICA, "mass": MASS,
    }  # fmt: skip

    def result(self) -> str:
        return "z"

    def worker(self, w: View) -> Steps:
        while True:
            w.combine("z", {"replica": 1 / w.mailbox.mass})
            g = yield Gradient(at=w.buffer("z"))
            w.step(g, rate=w.mailbox.mass)
            hops = max(w.workers - 1, 1).bit_length()
            with w.exclusive():
                w.mailbox.collect()
                if w.workers > 1:
                    w.mailbox.send((w.rank + 2 ** (w.steps % hops)) % w.workers, floor=FLOOR, ceiling=CEILING)
