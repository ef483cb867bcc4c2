"""Updates of several gradients: all workers add to one sum, and the update is a step along its mean.

Gathered gradients that are not yet applied are in the shared buffer `sum`, their number in the control block, so they
survive their workers and are in every checkpoint. All operations run under the one lock of Access.LOCKED, or in one
process.
"""

from __future__ import annotations

from hogwild.algorithms.base import Gradients, OfDelay
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.outcome import CurrentUpdate, Outcome
from hogwild.drivers.view.pushes import PushCache
from hogwild.drivers.view.updates import Updates
from hogwild.kernels import PushStats, weighted_sum
from hogwild.rules import Access, Momentum


class Gathering:
    """`gather` of hogwild.algorithms.base.View, and the operations of the drivers that belong to it."""

    def __init__(self, buffers: Buffers, pushes: PushCache, updates: Updates, current: CurrentUpdate) -> None:
        self._buffers = buffers
        self._tickets, self._versions = buffers.tickets, buffers.versions
        self._rank = buffers.rank
        self._locked = buffers.access is Access.LOCKED
        self._pushes = pushes
        self._updates = updates
        self._current = current
        self._rule: tuple[Momentum | None, float | None] = (None, None)  # momentum and lr of the next step
        self._by_worker = not buffers.is_shared("sum") if "sum" in buffers else False

    def gather(
        self,
        g: Gradients,
        count: int,
        *,
        momentum: Momentum | None = None,
        scale: OfDelay[float] | None = None,
        lr: float | None = None,
        max_delay: int | None = None,
        waits: bool = False,
        of: str = "all",
    ) -> None:
        """sum <- sum + scale(delay) g;  the `count`-th one:  x <- x - lr rule(sum / count),  sum <- 0.

        The last gradient of a run applies a sum of fewer gradients, divided by their number. If a worker is killed in
        here, the sum may contain a gradient that is not counted, and its replacement adds it a second time; or, if it
        is killed between the step and the count, the next update applies that sum a second time.

        of="worker": the sum and the count `taken` are each worker's own; after a kill the same holds of them.

        Mutates: sum, x, v and the own snapshot, which is up to date afterwards; the counters. A delay is counted for
        every gradient taken; one older than `max_delay` counts as dropped, one that is not finite as refused.
        """
        if (of == "worker") != self._by_worker:
            raise ValueError(f"gather of {of!r} needs a buffer sum that is {'REPLICA' if of == 'worker' else 'SHARED'}")
        self._updates.finish()
        versions, rank = self._versions, self._rank
        version = versions.begin_push(rank, self._locked)
        gap_sq = step_sq = 0.0
        try:
            delay = version - versions.pulled_version(rank)
            cancelled = max_delay is not None and delay > max_delay
            place, self._rule = versions.gathered, (momentum, lr)
            added = None if cancelled else self._add(g, 1.0 if scale is None else scale(delay))
            taken, nonfinite = (False, 0) if added is None else (added.applied, added.nonfinite)
            versions.gather(rank, taken, waits, nonfinite)
            refused, rate = 0 if taken else nonfinite, 0.0
            is_due = self._is_due(count) or bool(versions.gathered and self._tickets.exhausted())
            reads = not waits and (max_delay is None or is_due)  # the others cancel, wait, or have the newest x still
            self._buffers.traffic.add(self._buffers["x"], 1 + reads)
            if is_due:
                stats, rate = self._apply_sum(version)
                refused = refused if stats.applied else stats.nonfinite
            else:
                stats = self._measure()
                versions.pulled(rank)
            gap_sq = stats.gap_sq if taken else 0.0
            seen = stats if taken else None
            self._current.outcome = Outcome(version, delay, place, rate, refused, cancelled, taken, seen)
            step_sq = stats.step_sq
        finally:
            versions.end_gather(rank, self._locked, gap_sq, step_sq)

    def gather_rest(self) -> None:
        """If all remaining workers wait for an update, makes it of the gradients in the sum so far."""
        versions, rank, step_sq = self._versions, self._rank, 0.0
        version = versions.begin_push(rank, self._locked)
        try:
            if versions.awaits_update(rank) and versions.all_await():
                stats, rate = self._apply_sum(version)
                outcome, step_sq = self._current.outcome, stats.step_sq
                refused = outcome.refused if stats.applied else stats.nonfinite
                self._current.outcome = outcome._replace(lr=rate, refused=refused)
        finally:
            versions.end_gather(rank, self._locked, 0.0, step_sq)

    def drop(self) -> None:
        """Counts a gradient that was cancelled or given up."""
        self._updates.finish()
        self._versions.begin_push(self._rank, False)
        self._versions.end_push(self._rank, False, False, 0, 0.0, 0.0)

    def _is_due(self, count: int) -> bool:
        if not self._by_worker:
            return self._versions.gathered >= count
        workers, alive = range(self._buffers.workers), self._buffers.rounds.alive
        taken = [float(self._buffers["taken", j]) for j in workers if alive(j)]
        return all(taken) and len(taken) / sum(1 / b for b in taken) > count / len(taken)

    def _add(self, g: Gradients, scale: float) -> PushStats:
        push, buffers = self._pushes.onto("sum"), self._buffers
        if not (buffers["taken"] if self._by_worker else self._versions.gathered):
            buffers["sum"].zero_()  # not cleared after an update: a killed worker may leave a partial sum
        added = push(g, lr=-1.0, pushes=0, lr_max=1.0, scale=scale, clip=self._updates.clip)
        if self._by_worker:
            taken = buffers["taken"]
            taken += added.applied
        return added

    def _measure(self) -> PushStats:
        """Measures the gap with a push without a gradient, which also renews the snapshot."""
        nothing = [None] * len(self._buffers.world.layout.segments)
        return self._pushes.get(None)(nothing, lr=0.0, pushes=0, lr_max=0.0)

    def _apply_sum(self, version: int) -> tuple[PushStats, float]:
        """Makes the step along the mean of the sum, or of the workers' means; returns its learning rate."""
        momentum, lr = self._rule
        rate = self._current.lr if lr is None else lr
        scale = self._mean_of_workers() if self._by_worker else 1.0 / self._versions.gathered
        stats = self._pushes.get(momentum)(
            self._buffers.parts("sum"),
            lr=rate,
            weight_decay=self._updates.weight_decay,
            pushes=version,
            lr_max=rate,
            **self._updates.counts(momentum, version),
            scale=scale,
        )
        self._versions.commit(self._rank)
        if not stats.applied:  # the gradients are finite, their sum is not
            self._updates.pull()
        return stats, rate

    def _mean_of_workers(self) -> float:
        """Own sum <- the mean over workers of sum / taken; every `taken` <- 0. Returns the factor that is left: 1."""
        buffers = self._buffers
        counts = {j: buffers["taken", j] for j in range(buffers.workers) if buffers["taken", j]}
        weights = [1 / (len(counts) * float(count)) for count in counts.values()]
        if counts:
            weighted_sum(buffers["sum"], [buffers["sum", j] for j in counts], weights)
        else:  # they were those of workers that a resumed run no longer has
            buffers["sum"].zero_()
        for taken in counts.values():
            taken.zero_()
        buffers.traffic.add(buffers["sum"], len(counts) - (self._rank in counts))
        return 1.0
