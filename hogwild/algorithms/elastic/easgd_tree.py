"""EASGD Tree: a hierarchy of centers; workers are its leaves, every edge is a spring.

    worker i:   v_i <- m v_i + grad F(x_i) + wd x_i;   x_i <- x_i - lr v_i;   t_i <- t_i + 1
                every `period` steps      d = alpha (x_i - parent);   x_i <- x_i - d;   parent <- parent + d
                every `period_up` steps   the same between an inner node and its parent, up to the root x, carried by
                                          the first worker below the node
    alpha = beta / (degree + 1)

Source: Zhang 2016, thesis (arXiv:1605.02216), chapter 6: the multi-scale scheme, and alpha = 0.9 / (d + 1).
Deviates: the thesis sends parameters as messages, and the receiver alone moves; both ends are in shared memory here, so
both move, and the sum of all nodes is kept. Recalled, not confirmed: the thesis was not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    MODEL,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Place,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.algorithms.elastic.options import MODELS, RATE, beta_option, period_option
from hogwild.rules import HeavyBall

AT_LEAST_TWO = (lambda value: value >= 2, "an integer >= 2")


@dataclass(frozen=True)
class EASGDTree(Algorithm):
    """Elastic averaging along the edges of a tree."""

    name: ClassVar[str] = "easgd-tree"
    summary: ClassVar[str] = "elastic averaging along the edges of a tree of centers"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        **MODELS, "node": MODEL, "flux": WORKER, "counter": WORKER,
    }  # fmt: skip

    degree: int = option(4, "children of an inner node", check=AT_LEAST_TWO)
    alpha: float = option(0.0, "moving rate of an edge; 0: beta / (degree + 1)", check=RATE)
    beta: float = beta_option()
    period: int = period_option(10, "own steps between a worker's exchanges with its parent")
    period_up: int = period_option(100, "steps between exchanges of an inner node with its parent")
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")

    def keeps(self) -> Mapping[str, Buffer]:
        return {**self.buffers, **({"v": WORKER} if self.momentum else {})}

    def worker(self, w: View) -> Steps:
        alpha = self.alpha or self.beta / (self.degree + 1)
        momentum = HeavyBall(self.momentum) if self.momentum else None
        while True:
            g = yield Gradient(at=w.replica)
            w.step(g, momentum=momentum)
            parent, *higher = tree_path(w.rank, w.workers, self.degree)
            if w.steps % self.period == 0:
                w.elastic(alpha, "replica", parent[0])
            if w.steps % self.period_up == 0:
                below = parent
                for above in higher:
                    if below[1] == w.rank:
                        w.elastic(alpha, below[0], above[0])
                    below = above


def tree_path(rank: int, workers: int, degree: int) -> list[tuple[Place, int]]:
    """The inner nodes above a worker, up to the root, each with the first worker below it."""
    return list(_tree_path(rank, workers, degree))


def _tree_path(rank: int, workers: int, degree: int) -> Iterator[tuple[Place, int]]:
    index, width, first, span = rank, workers, 0, 1
    while width > 1:
        index, width, span = index // degree, -(-width // degree), span * degree
        yield ("x" if width == 1 else ("node", first + index)), index * span
        first += width
    if workers == 1:
        yield "x", 0
