"""IA2SGD: every push steps along the mean of everybody's latest gradient, so the data of all workers weigh the same.

    push by worker i:   V <- V + g - v_i;   v_i <- g;   once all rows are filled:   x <- x - lr (V / N + wd x)
                        V = sum_j v_j                                               max_age = 0
                        x <- x - lr (mean of the v_j whose snapshot is at most max_age versions old + wd x)

The optimum is the right one whatever the speeds, without any bound on how data differ; but the row of a slow worker is
as old as its gradients take. max_age leaves such rows out, at the price of their data.

Source: public code (IAASGD of vectozavr/ringmaster-lmo); arXiv:2511.19066, ACE and with max_age ACED, the abstract. Its
reviewers doubt its rate.
Deviates: the first step is that of the push that fills the last row; the code takes it one push later. A gradient that
is not finite leaves the row as it was. A worker that dies leaves the mean until it is replaced; a resumed run fills its
table anew. V accumulates differences, so pushes need --access locked (or the simulator).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    GRADIENT,
    NOT_NEGATIVE,
    SHARED,
    SNAPSHOT,
    Algorithm,
    Buffer,
    Gradient,
    Place,
    Scope,
    Steps,
    View,
    option,
)
from hogwild.rules import Table

SUM, ROW = Buffer(Scope.SHARED, saved=False), Buffer(Scope.REPLICA, saved=False)
COUNTS, VERSION, PUSHES = 0, 1, 2
STATE = Buffer(Scope.REPLICA, size=3, dtype="float64", saved=False)
"""Of a worker: whether its row counts, the version of that snapshot, whether it is inside a push."""


@dataclass(frozen=True)
class IA2SGD(Algorithm):
    """Asynchronous SGD along the mean of all workers' latest gradients."""

    name: ClassVar[str] = "ia2sgd"
    summary: ClassVar[str] = "steps along the mean of everybody's latest gradient: unbiased where data differ"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED, "v": ROW, "v_sum": SUM, "state": STATE, "snapshot": SNAPSHOT,
    }  # fmt: skip
    numbers_pushes: ClassVar[bool] = True

    max_age: int = option(0, "versions after which a row is left out of the mean; 0: never", check=NOT_NEGATIVE)

    def keeps(self) -> Mapping[str, Buffer]:
        return {**self.buffers, "v_sum": GRADIENT} if self.max_age else self.buffers

    @property
    def stability_rule(self) -> str | None:
        return None if self.max_age else "table"

    def worker(self, w: View) -> Steps:
        own = w.buffer("state")
        if w.steps and not own[COUNTS]:
            w.combine("v", {"v": 0})  # the others have left the row out meanwhile
        if own[PUSHES]:
            self.count_rows(w)  # its predecessor left a push half done
        w.pull()
        while True:
            pulled = w.version
            g = yield Gradient(at=w.snapshot)
            present, steps = w.present, w.steps
            if any(w.buffer(("state", j))[COUNTS] for j in range(w.workers) if j not in present):
                self.count_rows(w)
            is_full = all(w.buffer(("state", j))[COUNTS] or j == w.rank for j in present)
            own[PUSHES] = 1
            if not self.max_age:
                w.push(g, lr=None if is_full else lambda _: 0.0, momentum=Table(len(present)))
                own[COUNTS] = max(float(own[COUNTS]), w.steps > steps)
            elif w.deposit("v", g):
                own[COUNTS], own[VERSION], oldest = 1, pulled, w.version - self.max_age
                fresh = [j for j in present if w.buffer(("state", j))[VERSION] >= oldest] or [w.rank]
                w.combine("v_sum", {("v", j): 1 / len(fresh) for j in fresh})
                w.push(w.parts("v_sum"), lr=None if is_full else lambda _: None)
            else:
                w.push(g)  # which is refused
            own[PUSHES] = 0

    def count_rows(self, w: View) -> None:
        """V <- the sum of the rows that count: those of workers that are present."""
        with w.exclusive():
            for j in range(w.workers):
                w.buffer(("state", j))[COUNTS] *= j in w.present
            rows: dict[Place, float] = {("v", j): 1 for j in w.present if w.buffer(("state", j))[COUNTS]}
            if not self.max_age:
                w.combine("v_sum", rows or {"v_sum": 0})
