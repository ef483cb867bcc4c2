"""Rounds over a table of the workers' mean gradients: every row takes part in N updates, the next rows are filled then.

Buffers, none of them saved: `v`, a worker's row, the mean of its gradients of the round; `next`, the row of the round
after; `v_sum`, the sum of all rows; `state`, of each worker [ROW, NEXT, STEPPED, INSIDE]. All operations run under the
one lock of Access.LOCKED, or in one process. Rows of workers that died are left out, and v_sum is then made anew.
"""

from __future__ import annotations

from hogwild.algorithms.base import Gradients
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.outcome import CurrentUpdate, Outcome
from hogwild.drivers.view.pushes import PushCache
from hogwild.drivers.view.rounds import Rounds
from hogwild.drivers.view.updates import Updates
from hogwild.kernels import PushStats, copy, weighted_sum
from hogwild.rules import Access, Table

ROW, NEXT, STEPPED, INSIDE = range(4)  # gradients in the two rows; stepped in this round; inside gather_round now


class RoundTable:
    """`gather_round` of hogwild.algorithms.base.View."""

    def __init__(
        self, buffers: Buffers, pushes: PushCache, updates: Updates, rounds: Rounds, current: CurrentUpdate
    ) -> None:
        self._buffers = buffers
        self._versions, self._rank = buffers.versions, buffers.rank
        self._locked = buffers.access is Access.LOCKED
        self._pushes = pushes
        self._updates = updates
        self._rounds = rounds
        self._current = current

    def gather_round(self, g: Gradients, *, fresh: bool = False) -> None:
        """The own row takes g, and once no row is empty every worker makes one step along their mean:
        x <- x - lr (v_sum / N + wd x). A worker that has stepped in this round fills its next row; after N steps these
        become the rows.

        Mutates: the table, x, and the own snapshot, which is up to date after a step, and with `fresh` always; else it
        stays while the next row is filled. A gradient that is not finite changes nothing.
        """
        self._updates.finish()
        versions, rank, own = self._versions, self._rank, self._buffers["state"]
        version = versions.begin_push(rank, self._locked)
        gap_sq = step_sq = 0.0
        try:
            present = self._rounds.present
            self._leave_out_others(present, was_inside=bool(own[INSIDE]))
            own[INSIDE] = 1
            later, delay = bool(own[STEPPED]), version - versions.pulled_version(rank)
            count = int(own[NEXT if later else ROW]) + 1
            steps = not later and all(self._buffers["state", j][ROW] or j == rank for j in present)
            rate = self._current.lr if steps else 0.0
            if later:
                stats = self._into_next(g, count)
            else:
                stats = self._into_row(g, count, Table(len(present), 1 - 1 / count), rate, version, steps)
            versions.gather(rank, stats.applied, False, stats.nonfinite)
            self._buffers.traffic.add(self._buffers["x"], 1 + (steps and stats.applied))
            if stats.applied:
                own[NEXT if later else ROW] = count
                gap_sq, step_sq = stats.gap_sq, stats.step_sq
            if steps and stats.applied:
                versions.commit(rank)
                own[STEPPED] = 1
                if all(self._buffers["state", j][STEPPED] for j in present):
                    self._begin_round(present)
            elif fresh:
                self._updates.pull()
            refused = 0 if stats.applied else stats.nonfinite
            self._current.outcome = Outcome(version, delay, 0, rate, refused, False, stats.applied, stats)
            own[INSIDE] = 0
        finally:
            versions.end_gather(rank, self._locked, gap_sq, step_sq)

    def _into_row(self, g: Gradients, count: int, rule: Table, rate: float, version: int, steps: bool) -> PushStats:
        """The `count`-th gradient of the own row; with the step, and the next snapshot, in the same pass."""
        if count == 1:
            self._buffers["v"].zero_()
        push, wd = self._pushes.get(rule, fresh_snapshot=steps), self._updates.weight_decay
        return push(g, lr=rate, weight_decay=wd, pushes=version, lr_max=rate, clip=self._updates.clip)

    def _into_next(self, g: Gradients, count: int) -> PushStats:
        """next <- next + (g - next) / count."""
        if count == 1:
            self._buffers["next"].zero_()
        push = self._pushes.onto("next")
        return push(g, lr=1 / count, weight_decay=1.0, scale=-1.0, pushes=0, lr_max=1.0, clip=self._updates.clip)

    def _begin_round(self, present: list[int]) -> None:
        """rows <- next rows, which are empty then."""
        for j in present:
            state = self._buffers["state", j]
            if state[NEXT]:
                copy(self._buffers["v", j], self._buffers["next", j])
            state[ROW], state[NEXT], state[STEPPED] = state[NEXT], 0, 0
        self._sum_up(present)

    def _leave_out_others(self, present: list[int], was_inside: bool) -> None:
        """Empties the rows of workers that are gone. `was_inside`: the own predecessor was killed in gather_round."""
        gone = [self._buffers["state", j] for j in range(self._buffers.workers) if j not in present]
        if was_inside or any(state.any() for state in gone):
            for state in gone:
                state.zero_()
            self._sum_up(present)

    def _sum_up(self, present: list[int]) -> None:
        rows = [self._buffers["v", j] for j in present if self._buffers["state", j][ROW]]
        if rows:
            weighted_sum(self._buffers["v_sum"], rows, [1.0] * len(rows))
        else:
            self._buffers["v_sum"].zero_()
