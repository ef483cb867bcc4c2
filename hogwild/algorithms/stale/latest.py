"""A table of the workers' latest gradients: a row each, which counts while its worker takes part, and their sum V."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hogwild.algorithms.base import GRADIENT, SHARED, SNAPSHOT, Buffer, Place, Scope, View

if TYPE_CHECKING:
    from torch import Tensor

SUM, ROW = Buffer(Scope.SHARED, saved=False), Buffer(Scope.REPLICA, saved=False)
COUNTS, VERSION, CHANGES = 0, 1, 2
STATE = Buffer(Scope.REPLICA, size=3, dtype="float64", saved=False)
"""Of a worker: whether its row counts, the version of that snapshot, whether it is changing the table."""
ROWS = {"x": SHARED, "v": ROW, "v_sum": SUM, "state": STATE, "snapshot": SNAPSHOT}
MEAN = {"v_sum": GRADIENT}
"""In place of the sum: a worker's mean of the rows that are young enough."""


class Latest:
    """The table as one worker sees it. With `keeps_sum` V is made anew where a worker is gone, or was killed within
    `changing`.
    """

    def __init__(self, w: View, *, keeps_sum: bool) -> None:
        self.w, self.keeps_sum, self.own, self.present = w, keeps_sum, w.buffer("state"), w.present
        if w.steps and not self.own[COUNTS]:
            w.combine("v", {"v": 0})  # the others have left the row out meanwhile
        if self.own[CHANGES]:
            self._count_rows()  # its predecessor left a change half done

    def others_are_filled(self) -> bool:
        """Whether all rows but this worker's count. Those of workers that are gone are left out from now on."""
        self.present = self.w.present
        if any(self._state(j)[COUNTS] for j in range(self.w.workers) if j not in self.present):
            self._count_rows()
        return all(self._state(j)[COUNTS] or j == self.w.rank for j in self.present)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The context of a change; a worker killed inside leaves a mark. An exception does, too."""
        self.own[CHANGES] = 1
        yield
        self.own[CHANGES] = 0

    def fill(self, version: int) -> None:
        """The own row counts, and is of that version."""
        self.own[COUNTS], self.own[VERSION] = 1, version

    def mean(self, since: int) -> dict[Place, float]:
        """The terms of the mean of the rows of that version or a younger one; of the own row if there is none."""
        fresh = [j for j in self.present if self._state(j)[VERSION] >= since] or [self.w.rank]
        return {("v", j): 1 / len(fresh) for j in fresh}

    def _state(self, rank: int) -> Tensor:
        return self.w.buffer(("state", rank))

    def _count_rows(self) -> None:
        """V <- the sum of the rows that count: those of workers that take part."""
        w = self.w
        with w.exclusive():
            for j in range(w.workers):
                self._state(j)[COUNTS] *= j in w.present
            rows: dict[Place, float] = {("v", j): 1 for j in w.present if self._state(j)[COUNTS]}
            if self.keeps_sum:
                w.combine("v_sum", rows or {"v_sum": 0})
