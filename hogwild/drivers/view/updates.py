"""One gradient, one update: reading the model, pushing onto it, and counting the push."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor

from hogwild.algorithms.base import Gradients, OfDelay, Place
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.clipping import clipped
from hogwild.drivers.view.outcome import CurrentUpdate, Outcome, PendingPush
from hogwild.drivers.view.pushes import PushCache
from hogwild.drivers.view.tables import TablePart, clip_factor
from hogwild.kernels import copy, weighted_sum
from hogwild.rules import Access, Compensation, Counts, Gap, Guard, Momentum, look_ahead

MANY = 1 << 40  # pushes, after which no bias correction is left


class LastPush(NamedTuple):
    """The arguments of a worker's last push onto the whole master, by which layers are pushed."""

    lr: OfDelay[float | None] | None
    scale: OfDelay[float] | None
    momentum: Momentum | None
    compensation: Compensation | None


class Updates:
    """`pull`, `push` and `step` of hogwild.algorithms.base.View, and the counts of updates.

    With `defers` (masters on a GPU) a push is only enqueued. It is counted by `finish`, by the next push, or by any
    operation that reads a count, whichever comes first.

    Mutates shared buffers only through the kernels, under the access policy of the run. Every push records its delay
    and gap in the control block, and replaces the outcome. Gradients of tables that wait in `tables` go with the next
    push onto x: norms of all parts first, then the dense part, then the tables, and neither if one is refused.
    """

    def __init__(
        self,
        buffers: Buffers,
        pushes: PushCache,
        current: CurrentUpdate,
        *,
        weight_decay: float,
        clip: float,
        own_share: float,
    ) -> None:
        """`own_share`: the part of the master that this worker itself computed in a round, which need not be sent to
        it.
        """
        self.defers = False
        self.weight_decay = weight_decay
        self.clip = clip
        self.tables = TablePart(buffers, pushes.guard)
        self._buffers = buffers
        self._versions = buffers.versions
        self._rank = buffers.rank
        self._pushes = pushes
        self._current = current
        self._own_share = own_share
        self._pending: PendingPush | None = None
        self.last: LastPush | None = None
        self._x_bytes = buffers["x"].nbytes
        self.renewed: tuple[int, int] | None = None  # elements of the snapshot that a round's push has made equal to x

    @property
    def pending(self) -> bool:
        """Whether a push is enqueued and not yet counted."""
        return self._pending is not None

    @property
    def version(self) -> int:
        self.finish()
        return self._versions.version

    @property
    def steps(self) -> int:
        self.finish()
        return self._versions.steps(self._rank)

    def counts(self, momentum: Momentum | None, version: int) -> Counts:
        """The pushes that the buffers of a momentum have absorbed before this one, the update after `version`."""
        if momentum is None:
            return {}
        counts: Counts = {"first_step": self._pushes_into("v", version) == 0}
        for name in momentum.counts:
            counts[f"{name}_pushes"] = self._pushes_into(name, version)  # type: ignore[literal-required]
        return counts

    def _pushes_into(self, name: str, version: int) -> int:
        """A shared buffer absorbs all updates, one of the worker's own this worker's."""
        own = name not in self._buffers or not self._buffers.is_shared(name)
        return self._versions.steps(self._rank) if own else version

    def pull(self, momentum: Momentum | None = None, *, of: str = "x", own: bool = True) -> None:
        """snapshot <- x, or its look-ahead point under `momentum`; or snapshot <- buffer `of`. Races with pushes and
        pair averages. Not `own`: without the elements that the push of this round has renewed.

        The version is read before x, so that no delay is counted too small.
        """
        self.finish()
        self._versions.pulled(self._rank)
        renewed, self.renewed = self.renewed, None
        if of != "x":
            copy(self._buffers["snapshot"], self._buffers[of])
            return
        if self._pushes.inplace:
            return
        x, snapshot = self._buffers["x"], self._buffers["snapshot"]
        version, has_own_lr = self._versions.version, self._buffers.world.groups.has_own_lr
        ahead = look_ahead(momentum, lr=self._current.lr_after(version), pushes=version)
        if momentum is not None and version and (momentum.pulls_by_push or (ahead and has_own_lr)):
            self._look_ahead(momentum, version)
        elif ahead:
            inputs = [x, *(self._buffers[name] for name in ahead)]
            weighted_sum(snapshot, inputs, [1.0, *(-weight for weight in ahead.values())])
        elif renewed and not own:
            copy(snapshot, x, 0, renewed[0])
            copy(snapshot, x, renewed[1])
        else:
            copy(snapshot, x)
        self._buffers.traffic.add(x, 1 - self._own_share)

    def _look_ahead(self, momentum: Momentum, version: int) -> None:
        """snapshot <- the look-ahead point, by a push without gradients. A worker that has not pushed yet takes the sum
        of the others' momenta as it is, without a bias correction of its own.
        """
        lr, nothing = self._current.lr_after(version), [None] * len(self._buffers.world.layout.segments)
        steps = self._versions.steps(self._rank)
        counts: Counts = {"v_pushes": steps - 1 if steps else MANY, "q_pushes": version - 1}
        self._pushes.get(momentum).enqueue(nothing, lr=lr, pushes=version, lr_max=lr, **counts)

    def push(
        self,
        g: Gradients,
        *,
        lr: OfDelay[float | None] | None = None,
        scale: OfDelay[float] | None = None,
        momentum: Momentum | None = None,
        penalty: Gap | None = None,
        compensation: Compensation | None = None,
        onto: str = "x",
        part: tuple[int, int] | None = None,
        alpha: float = 0.0,
        center: Place = "x",
        is_fresh: bool = False,
        decay: float = 1.0,
        among: tuple[Sequence[Tensor], Sequence[float]] | None = None,
    ) -> None:
        """One push (csrc/push.h). A push that is refused or dropped changes only the counters, and reads x again.

        `is_fresh`: no other worker has changed the point at which the gradient was taken, so its delay is 0. `decay`: a
        factor on the weight decay. `among`: neighbours and weights that are mixed in before (kernels.Push.among).
        """
        if self._pending is not None:
            self.finish()
        if onto == "x" and part is None:
            self.last = LastPush(lr, scale, momentum, compensation)
        g = clipped(g, self.clip) if part else g
        kernel = self._pushes.get(momentum, penalty, compensation, onto=onto, center=center if alpha else None)
        versions, rank, w_lr = self._versions, self._rank, self._current.lr
        is_shared = self._buffers.is_shared(onto) or bool(alpha)
        locked = is_shared and self._buffers.access is Access.LOCKED
        lr_max = versions.raise_lr_max(w_lr) if penalty is not None else w_lr
        version = versions.begin_push(rank, locked)
        if is_fresh:
            versions.set_pulled(rank, version)
        delay = version - versions.pulled_version(rank)
        tables = self.tables if onto == "x" and self.tables else None
        refused = 0
        try:
            rate = w_lr if lr is None else lr(delay)
            factor, clip = 1.0 if scale is None else scale(delay), 0.0 if part else self.clip
            if tables is not None and rate is not None:
                rows = tables.scan()
                refused = rows.nonfinite if self._pushes.guard is Guard.PUSH else 0
                factor, clip = factor * clip_factor(clip, factor, g, rows), 0.0
            if rate is not None and not refused:
                push: Callable[..., object] = partial(kernel.among, *among) if among else kernel.enqueue
                push(
                    g,
                    lr=rate,
                    weight_decay=decay * self.weight_decay,
                    pushes=version,
                    lr_max=lr_max,
                    **self.counts(momentum, version),
                    scale=factor,
                    clip=clip,
                    delay=delay,
                    alpha=alpha,
                    start=part[0] if part else None,
                    stop=part[1] if part else None,
                )
                if tables is not None and kernel.stats().applied:  # waits: rows follow only what was written
                    tables.push(lr=rate, version=version, scale=factor)
        except BaseException:
            versions.end_push(rank, locked, False, 0, 0.0, 0.0)
            raise
        finally:
            if self.tables:
                self.tables.drop()
        used = None if rate is None or refused else kernel
        pending = PendingPush(used, version, delay, rate or 0.0, locked, onto, is_shared, momentum, refused)
        if self.defers and rate is not None and not self._current.outcome.refused:
            self._pending = pending
        else:
            self._finish(pending, refresh=True)

    def step(
        self,
        g: Gradients,
        *,
        rate: float = 1.0,
        momentum: Momentum | None = None,
        alpha: float = 0.0,
        center: Place = "x",
    ) -> None:
        """A push onto the own replica at rate * lr, its weight decay at lr: rate lr (g + (wd / rate) x)."""
        w_lr = self._current.lr
        self.push(
            g,
            lr=lambda _: rate * w_lr,
            momentum=momentum,
            onto="replica",
            alpha=alpha,
            center=center,
            is_fresh=True,
            decay=1 / rate,
        )

    def finish(self) -> None:
        """Finish the pending push: wait for it and count it, which raises the version. No-op if none is pending.

        If it was refused, the snapshot and its version stay as they are, because the next gradient is already being
        computed at that snapshot; the next push is then not deferred.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._finish(pending, refresh=False)

    def _finish(self, push: PendingPush, refresh: bool) -> None:
        """Waits for a push and counts it. `refresh`: if it was not applied, the snapshot is read again."""
        try:
            stats = None if push.kernel is None else push.kernel.stats()
        except BaseException:
            self._versions.end_push(self._rank, push.locked, False, push.refused, 0.0, 0.0)
            raise
        if stats is None:
            applied, refused = False, push.refused
            self._versions.end_push(self._rank, push.locked, False, refused, 0.0, 0.0)
        else:
            applied = stats.applied
            refused = 0 if applied else stats.nonfinite
            self._versions.count_push(self._rank, push.locked, stats)
        self._current.outcome = Outcome(push.version, push.delay, 0, push.lr, refused, False, applied, stats)
        if push.is_shared:
            self._buffers.traffic.add_bytes(self._x_bytes * (2 if applied else 1))
        if not applied and refresh:
            if push.onto == "x":
                self.pull(push.momentum)
            elif self._buffers.has_snapshot:
                self.pull(of=push.onto)
