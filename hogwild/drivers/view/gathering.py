"""Updates that take several gradients: the sum that workers fill together, and the step on its mean.

A mixin of WorkerView (worker_view.py). What is gathered and not yet applied lies in the shared buffer `sum` and in
the control block's count, so it outlives its workers and is in every checkpoint. All of it happens under the one lock
of Access.LOCKED, or in one process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hogwild.drivers.view.pushes import Pushes
from hogwild.kernels import Push
from hogwild.rules import Access

if TYPE_CHECKING:
    from hogwild.algorithms.base import Gradients, OfDelay
    from hogwild.kernels import PushStats
    from hogwild.rules import Momentum


class Gathering(Pushes):
    """`gather` of hogwild.algorithms.base.View, and what the drivers need beside it."""

    cancelled = False  # the gradient gathered last came too late: its batch is begun again
    last_place = 0  # of that gradient, among those of its version
    _sum: Push | None = None
    _step: tuple[Momentum | None, float | None] = (None, None)

    weight_decay: float
    clip: float
    last_refused: int
    last_delay: int
    last_version: int
    last_lr: float
    last_stats: PushStats | None

    if TYPE_CHECKING:

        def pull(self, momentum: Momentum | None = None) -> None: ...
        def _is_first_step(self, version: int) -> bool: ...

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
        leave a gradient in the sum that is not counted, and comes again with its batch; or, killed between the step and
        the count, the next update takes that sum once more.

        Mutates: sum, x, v and the own snapshot, which is fresh afterwards; the counters. A delay is counted for every
        gradient taken; one older than `max_delay` counts as dropped, one that is not finite as refused.
        """
        self.settle()
        control, locked = self.control, self.access is Access.LOCKED
        version = self.last_version = control.begin_push(self.rank, locked)
        gap_sq = step_sq = 0.0
        try:
            delay = self.last_delay = version - control.pulled_version(self.rank)
            self.cancelled = max_delay is not None and delay > max_delay
            self.last_place, self._step = control.gathered, (momentum, lr)
            added = None if self.cancelled else self._add(g, 1.0 if scale is None else scale(delay))
            taken, nonfinite = (False, 0) if added is None else (added.applied, added.nonfinite)
            control.gather(self.rank, taken, waits, nonfinite)
            self.last_refused, self.last_lr = 0 if taken else nonfinite, 0.0
            if control.gathered >= count or (control.gathered and control.exhausted()):
                stats = self._apply_sum(version)
            else:
                stats = self._push(None, None)([None] * len(self.world.layout.segments), lr=0.0, pushes=0, lr_max=0.0)
                control.pulled(self.rank)
            self.last_stats = stats if taken else None
            gap_sq, step_sq = stats.gap_sq if taken else 0.0, stats.step_sq
        finally:
            control.end_gather(self.rank, locked, gap_sq, step_sq)

    def gather_rest(self) -> None:
        """The update that this worker waits for, on what there is of its sum, if all that are left wait for it."""
        control, locked, step_sq = self.control, self.access is Access.LOCKED, 0.0
        version = control.begin_push(self.rank, locked)
        try:
            if control.awaits_update(self.rank) and control.all_await():
                step_sq = self._apply_sum(version).step_sq
        finally:
            control.end_gather(self.rank, locked, 0.0, step_sq)

    def drop(self) -> None:
        """Counts a gradient that was broken off."""
        self.control.begin_push(self.rank, False)
        self.control.end_push(self.rank, False, False, 0, 0.0, 0.0)

    def _add(self, g: Gradients, scale: float) -> PushStats:
        total = self.buffer("sum")
        if self._sum is None:
            self._sum = Push(x=total, segments=self.world.layout.segments, guard=self.guard)
        if not self.control.gathered:  # here, not after an update: no half-written rest of a killed worker survives
            total.zero_()
        return self._sum(g, lr=-1.0, pushes=0, lr_max=1.0, scale=scale, clip=self.clip)

    def _apply_sum(self, version: int) -> PushStats:
        momentum, lr = self._step
        self.last_lr = self.lr if lr is None else lr
        stats = self._push(momentum, None)(
            self.world.layout.views(self.buffer("sum")),
            lr=self.last_lr,
            weight_decay=self.weight_decay,
            pushes=version,
            lr_max=self.last_lr,
            first_step=self._is_first_step(version),
            scale=1.0 / self.control.gathered,
        )
        self.control.commit(self.rank)
        if not stats.applied:  # finite gradients, but their sum is not
            self.last_refused = stats.nonfinite
            self.pull()
        return stats
