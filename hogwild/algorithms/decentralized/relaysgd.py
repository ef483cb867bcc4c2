"""RelaySGD: messages along the edges of a tree carry sums of models, so that all weigh the same, each with a delay.

    every worker i, in rounds:   v_i <- m v_i + grad F_i(x_i) + wd x_i;   x_i <- x_i - lr v_i
        to each neighbour j:     x_i + the sum of the last messages from the other neighbours, and how many models it is
        x_i <- (x_i + the sum of the messages just come + (N - n) x_0) / N         n: models in that sum, x_i with them

A model reaches a worker after as many rounds as it is edges away, and weighs 1 / N there, whatever the data of the
workers. The result is the mean of the replicas.

Source: public code (epfml/relaysgd); Vogels et al. 2021 (arXiv:2110.04175).
Deviates: when a worker comes or goes, and when a run is resumed, the round averages the models of all that are there;
that mean is x_0 from then on, and the tree joins those workers. Momentum is not in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    BARRIER,
    MODEL,
    REPLICA,
    SHARED,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Place,
    Scope,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.rules import HeavyBall

DEGREES = {"chain": 2, "binary": 3}  # the largest number of neighbours
COUNTS = 3
BEGINS = COUNTS  # after the counts: whether the worker begins, or begins again
STATE = Buffer(Scope.REPLICA, size=COUNTS + 1, dtype="float64")


def neighbours(tree: str, index: int, n: int) -> list[int]:
    """The neighbours of node `index` of n, in order."""
    if tree == "chain":
        return [j for j in (index - 1, index + 1) if 0 <= j < n]
    parent = [(index - 1) // 2] if index else []
    return parent + [j for j in (2 * index + 1, 2 * index + 2) if j < n]


@dataclass(frozen=True)
class RelaySGD(Algorithm):
    """Decentralized SGD with relayed sums on a tree."""

    name: ClassVar[str] = "relaysgd"
    summary: ClassVar[str] = "sums of models relayed along a tree: exact uniform weights, also for split data"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED, "replica": MODEL, "sent": STATE, "came": Buffer(Scope.WORKER, size=COUNTS, dtype="float64"),
        **{f"relay{s}": REPLICA for s in range(COUNTS)}, **{f"in{s}": WORKER for s in range(COUNTS)},
    }  # fmt: skip
    barriers_per_round: ClassVar[int] = 2

    tree: str = option(
        "chain", "what joins the workers; binary: shorter ways, up to 3 neighbours", choices=tuple(DEGREES)
    )
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")

    def keeps(self) -> Mapping[str, Buffer]:
        unused = {f"{kind}{DEGREES[self.tree]}" for kind in ("relay", "in")}
        kept = {name: buffer for name, buffer in self.buffers.items() if name not in unused}
        return kept | ({"v": WORKER} if self.momentum else {})

    def result(self) -> str:
        return "replica"

    def worker(self, w: View) -> Steps:
        momentum, slots = HeavyBall(self.momentum) if self.momentum else None, range(DEGREES[self.tree])
        sent, came, members = w.buffer("sent"), w.buffer("came"), None
        sent[BEGINS] = w.steps > 0  # it was away
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            for s in slots:
                others = [t for t in slots if t != s]
                w.combine(f"relay{s}", {"replica": 1, **{f"in{t}": 1 for t in others}})
                sent[s] = 1 + sum(float(came[t]) for t in others)
            yield BARRIER  # messages are final
            present = w.present
            again = any(w.buffer(("sent", j))[BEGINS] for j in present) or members not in (None, present)
            if again:
                w.combine("x", {("replica", j): 1 / len(present) for j in present}, share=True)
            else:
                self.receive(w, present)
            yield BARRIER  # every worker has read them
            members = present
            if again:
                w.adopt()
                sent[BEGINS] = 0
                came.zero_()
                for s in slots:
                    w.combine(f"in{s}", {"replica": 0})

    def receive(self, w: View, present: list[int]) -> None:
        """The messages of the neighbours, and the model that they make."""
        n, index, came = len(present), present.index(w.rank), w.buffer("came")
        linked = neighbours(self.tree, index, n)
        for s, j in enumerate(linked):
            back = neighbours(self.tree, j, n).index(index)
            w.combine(f"in{s}", {(f"relay{back}", present[j]): 1})
            came[s] = w.buffer(("sent", present[j]))[back]
        missing = n - 1 - sum(float(came[s]) for s in range(len(linked)))
        incoming: dict[Place, float] = {f"in{s}": 1 / n for s in range(len(linked))}
        w.combine("replica", {"replica": 1 / n, **incoming, "x": missing / n})
