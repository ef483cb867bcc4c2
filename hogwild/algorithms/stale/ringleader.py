"""Ringleader ASGD: rounds of N steps along the mean of everybody's gradients; nobody waits, and none is thrown away.

    row i = the mean of worker i's gradients of this round, next row i = that of the round after
    some row is empty:                    row i takes g;   the one that fills the last row goes on with a step
    worker i has not stepped yet:         row i takes g;   x <- x - lr (mean of the rows + wd x);   snapshot <- x
    it has:                               next row i takes g;   the snapshot stays
    after N steps:                        rows <- next rows;   next rows <- empty

All gradients of a row were taken at one point, and none is older than 2 N - 2 steps, however slow its worker; the data
of all workers weigh the same. lr = min(1 / (8 N L), eps B / (10 L sigma^2)) for the smoothness L, the variance sigma^2
of a gradient and the harmonic mean B of the numbers of gradients in the rows: about 1 / N of malenia's.

Source: Maranjyan and Richtarik 2025 (arXiv:2509.22860, ICLR 2026), as notes with the full method and its theorem state
it: time-optimal for workers with different data.
Deviates: fresh hands out the newest x after every gradient, as public code does (vectozavr/ringmaster-lmo). A worker
that dies leaves the round. A resumed run fills its table anew. Pushes need --access locked (or the simulator).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Scope, Steps, View, option
from hogwild.algorithms.stale.latest import ROW, SUM

STATE = Buffer(Scope.REPLICA, size=4, dtype="float64", saved=False)


@dataclass(frozen=True)
class Ringleader(Algorithm):
    """Asynchronous SGD in rounds over a table of mean gradients."""

    name: ClassVar[str] = "ringleader"
    summary: ClassVar[str] = "rounds of N steps along the mean of everybody's gradients: optimal for split data"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED, "v": ROW, "next": ROW, "v_sum": SUM, "state": STATE, "snapshot": SNAPSHOT,
    }  # fmt: skip
    numbers_pushes: ClassVar[bool] = True
    takes_tables: ClassVar[bool] = False

    fresh: bool = option(False, "read the newest x after every gradient, not only after a step")

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.gather_round(g, fresh=self.fresh)
