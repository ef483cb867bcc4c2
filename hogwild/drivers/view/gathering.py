"""Updates that take several gradients: the sum that workers fill together, and the step on its mean.

What is gathered and not yet applied lies in the shared buffer `sum` and in the control block's count, so it outlives
its workers and is in every checkpoint. All of it happens under the one lock of Access.LOCKED, or in one process.
"""

from __future__ import annotations

from dataclasses import replace

from hogwild.algorithms.base import Gradients, OfDelay
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.outcome import CurrentUpdate, Outcome
from hogwild.drivers.view.pushes import PushCache
from hogwild.drivers.view.updates import Updates
from hogwild.kernels import PushStats
from hogwild.rules import Access, Momentum


class Gathering:
    """`gather` of hogwild.algorithms.base.View, and what the drivers need beside it."""

    def __init__(self, buffers: Buffers, pushes: PushCache, updates: Updates, current: CurrentUpdate) -> None:
        self._buffers = buffers
        self._control = buffers.control
        self._rank = buffers.rank
        self._locked = buffers.access is Access.LOCKED
        self._pushes = pushes
        self._updates = updates
        self._current = current
        self._rule: tuple[Momentum | None, float | None] = (None, None)  # momentum and lr of the step to come

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
    ) -> None:
        """sum <- sum + scale(delay) g;  the `count`-th one:  x <- x - lr rule(sum / count),  sum <- 0.

        The last gradient of a run takes a sum of fewer along, with its own mean. A worker that is killed in here may
        leave a gradient in the sum that is not counted, and brings it once more when it is replaced; or, killed between
        the step and the count, the next update takes that sum once more.

        Mutates: sum, x, v and the own snapshot, which is fresh afterwards; the counters. A delay is counted for every
        gradient taken; one older than `max_delay` counts as dropped, one that is not finite as refused.
        """
        self._updates.finish()
        control, rank = self._control, self._rank
        version = control.begin_push(rank, self._locked)
        gap_sq = step_sq = 0.0
        try:
            delay = version - control.pulled_version(rank)
            cancelled = max_delay is not None and delay > max_delay
            place, self._rule = control.gathered, (momentum, lr)
            added = None if cancelled else self._add(g, 1.0 if scale is None else scale(delay))
            taken, nonfinite = (False, 0) if added is None else (added.applied, added.nonfinite)
            control.gather(rank, taken, waits, nonfinite)
            refused, rate = 0 if taken else nonfinite, 0.0
            if control.gathered >= count or (control.gathered and control.exhausted()):
                stats, rate = self._apply_sum(version)
                refused = refused if stats.applied else stats.nonfinite
            else:
                stats = self._measure()
                control.pulled(rank)
            gap_sq = stats.gap_sq if taken else 0.0
            seen = stats if taken else None
            self._current.outcome = Outcome(version, delay, place, rate, refused, cancelled, taken, seen)
            step_sq = stats.step_sq
        finally:
            control.end_gather(rank, self._locked, gap_sq, step_sq)

    def gather_rest(self) -> None:
        """If all workers that are left wait for this worker's update, makes it of what its sum has so far."""
        control, rank, step_sq = self._control, self._rank, 0.0
        version = control.begin_push(rank, self._locked)
        try:
            if control.awaits_update(rank) and control.all_await():
                stats, rate = self._apply_sum(version)
                outcome, step_sq = self._current.outcome, stats.step_sq
                refused = outcome.refused if stats.applied else stats.nonfinite
                self._current.outcome = replace(outcome, lr=rate, refused=refused)
        finally:
            control.end_gather(rank, self._locked, 0.0, step_sq)

    def drop(self) -> None:
        """Counts a gradient whose computation was broken off or given up."""
        self._updates.finish()
        self._control.begin_push(self._rank, False)
        self._control.end_push(self._rank, False, False, 0, 0.0, 0.0)

    def _add(self, g: Gradients, scale: float) -> PushStats:
        push = self._pushes.onto_sum()
        if not self._control.gathered:  # here, not after an update: no half-written rest of a killed worker survives
            self._buffers["sum"].zero_()
        return push(g, lr=-1.0, pushes=0, lr_max=1.0, scale=scale, clip=self._updates.clip)

    def _measure(self) -> PushStats:
        """The gap, by a push without a gradient, which also renews the snapshot."""
        nothing = [None] * len(self._buffers.world.layout.segments)
        return self._pushes.get(None)(nothing, lr=0.0, pushes=0, lr_max=0.0)

    def _apply_sum(self, version: int) -> tuple[PushStats, float]:
        """The step on the mean of the sum, and its learning rate."""
        momentum, lr = self._rule
        rate = self._current.lr if lr is None else lr
        stats = self._pushes.get(momentum)(
            self._buffers.parts("sum"),
            lr=rate,
            weight_decay=self._updates.weight_decay,
            pushes=version,
            lr_max=rate,
            first_step=self._updates.is_first_step(version),
            scale=1.0 / self._control.gathered,
        )
        self._control.commit(self._rank)
        if not stats.applied:  # finite gradients, but their sum is not
            self._updates.pull()
        return stats, rate
