"""A worker's view of the world: the buffers by name, and pull, push, deposit on the kernels.

The process driver and the simulator use this same class; they differ in who answers the algorithm's requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hogwild.algorithms.base import SHARED, Gradients, OfDelay, Scope
from hogwild.errors import UsageError
from hogwild.kernels import Push, PushStats, copy, count_nonfinite, weighted_sum
from hogwild.rules import Access, Compensation, Dana, Gap, Guard, Momentum, Smega2, look_ahead
from hogwild.shared.world import GAP_COLUMNS, GAP_STATE, World

ALIGNED = 32  # elements: shares of a flat buffer begin on 128-byte boundaries


class WorkerView:
    """See hogwild.algorithms.base.View. `lr`, `weight_decay` and `generation` are set by the driver before each step.

    Mutates shared buffers through the kernels only, under the access policy of the run; delays and gaps are recorded
    in the control block with every push.
    """

    def __init__(
        self,
        world: World,
        rank: int,
        buffers: Mapping[str, Scope],
        *,
        access: Access = Access.RACING,
        guard: Guard = Guard.PUSH,
        inplace: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.world = world
        self.control = world.control
        self.rank = rank
        self.workers = world.workers
        self.buffers = buffers
        self.access = access
        self.guard = guard
        self.inplace = inplace
        self.weight_decay = weight_decay
        self.lr = 0.0
        self.generation = 0
        self.last_refused = 0  # non-finite elements of the last push, if it was refused
        self.last_delay = 0  # of the last gradient, also of one that was dropped or refused
        self.last_version = 0  # of the master when the last push began
        self.last_lr = 0.0
        self.last_stats: PushStats | None = None  # None if the last gradient was dropped
        self._pushes: dict[tuple[Any, ...], Push] = {}
        self._tensors: dict[tuple[str, int], Tensor] = {}

    def buffer(self, name: str, rank: int | None = None) -> Tensor:
        """A named buffer [n]: the shared one, this worker's own, or with `rank` another worker's."""
        key = (name, self.rank if rank is None else rank)
        if key not in self._tensors:
            self._tensors[key] = self.world.arena.tensor(*key)
        return self._tensors[key]

    @property
    def x(self) -> Tensor:
        return self.buffer("x")

    @property
    def snapshot(self) -> Tensor:
        return self.x if self.inplace else self.buffer("snapshot")

    def pull(self, momentum: Momentum | None = None) -> None:
        """snapshot <- x, or where that rule looks ahead to. Races with pushes.

        The version is read first, so that a delay is never counted too small.
        """
        self.control.pulled(self.rank)
        if self.inplace:
            return
        ahead = look_ahead(momentum, lr=self.lr, pushes=self.control.version)
        if ahead:
            buffers = [self.x, *(self.buffer(name) for name in ahead)]
            weighted_sum(self.snapshot, buffers, [1.0, *(-weight for weight in ahead.values())])
        else:
            copy(self.snapshot, self.x)

    def push(
        self,
        g: Gradients,
        *,
        lr: OfDelay[float | None] | None = None,
        scale: OfDelay[float] | None = None,
        clip: float = 0.0,
        momentum: Momentum | None = None,
        penalty: Gap | None = None,
        compensation: Compensation | None = None,
    ) -> None:
        """One push (csrc/push.h). A refused or dropped one changes nothing but the counters, and reads x afresh."""
        op = self._push(momentum, penalty, compensation)
        control, locked = self.control, self.access is Access.LOCKED
        lr_max = control.raise_lr_max(self.lr) if penalty is not None else self.lr
        version = self.last_version = control.begin_push(self.rank, locked)
        delay = self.last_delay = version - control.pulled_version(self.rank)
        applied, nonfinite, gap_sq, step_sq = False, 0, 0.0, 0.0
        self.last_stats = None
        try:
            rate = self.lr if lr is None else lr(delay)
            if rate is not None:
                stats = self.last_stats = op(
                    g,
                    lr=rate,
                    weight_decay=self.weight_decay,
                    pushes=version,
                    lr_max=lr_max,
                    first_step=self._is_first_step(version),
                    scale=1.0 if scale is None else scale(delay),
                    clip=clip,
                    delay=delay,
                )
                applied, nonfinite, gap_sq, step_sq = stats.applied, stats.nonfinite, stats.gap_sq, stats.step_sq
        finally:
            control.end_push(self.rank, locked, applied, nonfinite, gap_sq, step_sq)
        self.last_refused, self.last_lr = 0 if applied else nonfinite, rate or 0.0
        if not applied:
            self.pull(momentum)

    def deposit(self, name: str, g: Gradients) -> None:
        """Own replica of `name` [n] <- g. A gradient that is not finite is withheld from the round, and counted."""
        self.last_refused = count_nonfinite(g)
        self.control.contribute(self.rank, not self.last_refused)
        if self.last_refused:
            return
        for view, gradient in zip(self.world.layout.views(self.buffer(name)), g, strict=True):
            if gradient is None:
                view.zero_()
            else:
                view.copy_(gradient)

    def push_mean(self, name: str, *, momentum: Momentum | None = None) -> None:
        """x[share] <- x - lr * rule(mean_j name_j)[share], the mean over this round's finite contributions.

        Mutates this worker's share of x, of v, and of its own replica of `name` (which then holds the mean): no other
        worker reads those elements before the next barrier.
        """
        present = self.control.participants(self.generation)
        contributed = [rank for rank in present if self.control.contributes(rank)]
        start, stop = self._share(present.index(self.rank), len(present))
        step_sq = 0.0
        version = self.control.version
        if contributed and start < stop:
            mean = self.buffer(name)
            inputs = [self.buffer(name, rank) for rank in contributed]
            weighted_sum(mean, inputs, [1.0 / len(contributed)] * len(contributed), start=start, stop=stop)
            stats = self._push(momentum, None, fresh_snapshot=False)(
                self.world.layout.views(mean),
                lr=self.lr,
                weight_decay=self.weight_decay,
                pushes=version,
                lr_max=self.lr,
                first_step=self._is_first_step(version),
                start=start,
                stop=stop,
            )
            step_sq = stats.step_sq
        commits = bool(contributed) and present[0] == self.rank
        self.control.end_round(self.rank, commits, self.last_refused, step_sq)

    def _share(self, index: int, shares: int) -> tuple[int, int]:
        lines = -(-self.world.layout.n // ALIGNED)
        start, stop = lines * index // shares * ALIGNED, lines * (index + 1) // shares * ALIGNED
        return start, min(stop, self.world.layout.n)

    def _is_first_step(self, version: int) -> bool:
        own = self.buffers.get("v") is not SHARED
        return (self.control.pushes(self.rank) if own else version) == 0

    def _push(
        self,
        momentum: Momentum | None,
        penalty: Gap | None,
        compensation: Compensation | None = None,
        fresh_snapshot: bool = True,
    ) -> Push:
        key = (momentum, penalty, compensation, fresh_snapshot)
        if key not in self._pushes:
            if self.inplace and (penalty is not None or compensation is not None):
                raise UsageError("a gap needs a private snapshot: use --read snapshot")
            used = needed_buffers(momentum, penalty, compensation)
            if fresh_snapshot and not self.inplace:
                used.add("snapshot")
            self._pushes[key] = Push(
                x=self.x,
                **{name: self.buffer(name) for name in used if name != GAP_STATE},
                gap_state=self.buffer(GAP_STATE).view(-1, GAP_COLUMNS) if GAP_STATE in used else None,
                segments=self.world.layout.segments,
                penalty=penalty,
                momentum=momentum,
                compensation=compensation,
                access=self.access,
                guard=self.guard,
                stripes=self.control.stripe_locks if self.access is Access.STRIPED else 0,
                n_stripes=self.control.stripes if self.access is Access.STRIPED else 0,
            )
        return self._pushes[key]


def needed_buffers(momentum: Momentum | None, penalty: Gap | None, compensation: Compensation | None) -> set[str]:
    """The buffers that a push with these rules works on, besides x and the snapshot."""
    names: set[str] = set()
    if momentum is not None:
        names |= {"v"} | ({"v_sum"} if isinstance(momentum, Dana) else {"b"} if isinstance(momentum, Smega2) else set())
    if penalty is not None:
        names.add("s" if penalty.level == "element" else GAP_STATE)
    if compensation is not None and compensation.adaptive:
        names.add("ms")
    return names
