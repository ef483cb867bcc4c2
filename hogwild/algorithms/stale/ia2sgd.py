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

from hogwild.algorithms.base import NOT_NEGATIVE, Algorithm, Buffer, Gradient, Steps, View, option
from hogwild.algorithms.stale.latest import MEAN, ROWS, Latest
from hogwild.rules import Table


@dataclass(frozen=True)
class IA2SGD(Algorithm):
    """Asynchronous SGD along the mean of all workers' latest gradients."""

    name: ClassVar[str] = "ia2sgd"
    summary: ClassVar[str] = "steps along the mean of everybody's latest gradient: unbiased where data differ"
    buffers: ClassVar[Mapping[str, Buffer]] = ROWS
    numbers_pushes: ClassVar[bool] = True

    max_age: int = option(0, "versions after which a row is left out of the mean; 0: never", check=NOT_NEGATIVE)

    def keeps(self) -> Mapping[str, Buffer]:
        return {**ROWS, **MEAN} if self.max_age else ROWS

    @property
    def stability_rule(self) -> str | None:
        return None if self.max_age else "table"

    def worker(self, w: View) -> Steps:
        rows = Latest(w, keeps_sum=not self.max_age)
        w.pull()
        while True:
            version = w.version
            g = yield Gradient(at=w.snapshot)
            steps, is_full = w.steps, rows.others_are_filled()
            with rows.changing():
                if not self.max_age:
                    w.push(g, lr=None if is_full else lambda _: 0.0, momentum=Table(len(rows.present)))
                    if w.steps > steps:
                        rows.fill(version)
                elif w.deposit("v", g):
                    rows.fill(version)
                    w.combine("v_sum", rows.mean(since=w.version - self.max_age))
                    w.push(w.parts("v_sum"), lr=None if is_full else lambda _: None)
                else:
                    w.push(g)  # which is refused
