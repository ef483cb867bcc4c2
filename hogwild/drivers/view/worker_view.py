"""A worker's view of the world: pull, push and deposit on the kernels.

The process driver and the simulator use this same class; they differ in who answers the algorithm's requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hogwild.algorithms.base import Gradients, OfDelay, Place
from hogwild.buffers import Buffer
from hogwild.drivers.job.device import finish
from hogwild.drivers.view.gathering import Gathering
from hogwild.drivers.view.replicas import Replicas
from hogwild.kernels import Push, PushStats, copy, count_nonfinite, weighted_sum
from hogwild.rules import Access, Compensation, Gap, Guard, Momentum, look_ahead
from hogwild.shared.world import World


@dataclass(frozen=True)
class Flight:
    """A push that has been enqueued and not yet counted. `op`: None if the gradient was dropped."""

    op: Push | None
    locked: bool
    is_master: bool  # onto x
    is_shared: bool  # x is moved
    momentum: Momentum | None


class WorkerView(Gathering, Replicas):
    """See hogwild.algorithms.base.View. `lr` and `generation` are set by the driver before each step.

    With `defers` (masters on a GPU) a push is only enqueued, and counted by `settle`, at the next one if not before.

    Mutates shared buffers through the kernels only, under the access policy of the run; delays and gaps are recorded
    in the control block with every push.
    """

    defers = False

    def __init__(
        self,
        world: World,
        rank: int,
        declared: Mapping[str, Buffer],
        *,
        access: Access = Access.RACING,
        guard: Guard = Guard.PUSH,
        inplace: bool = False,
        weight_decay: float = 0.0,
        clip: float = 0.0,
        barriers_per_round: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(world, rank, declared, access, barriers_per_round, seed)
        self.guard = guard
        self._pushes = {}
        self.inplace = inplace
        self.weight_decay = weight_decay
        self.clip = clip
        self.last_refused = 0  # non-finite elements of the last push, if it was refused
        self.last_delay = 0  # of the last gradient, also of one that was dropped or refused
        self.last_version = 0  # of the master when the last push began
        self.last_lr = 0.0
        self.last_stats: PushStats | None = None  # None if the last gradient was dropped
        self._flight: Flight | None = None
        self._was_refused = False  # the push that was settled last

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
        self.settle()
        self.control.pulled(self.rank)
        if self.inplace:
            return
        ahead = look_ahead(momentum, lr=self.lr, pushes=self.control.version)
        if ahead:
            buffers = [self.x, *(self.buffer(name) for name in ahead)]
            weighted_sum(self.snapshot, buffers, [1.0, *(-weight for weight in ahead.values())])
        else:
            copy(self.snapshot, self.x)
        own = 1 / self.workers if self.barriers_per_round else 0.0  # its share of a round's result it has itself
        self.traffic.add(self.x, 1 - own)

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
    ) -> None:
        """One push (csrc/push.h). A refused or dropped one changes nothing but the counters, and reads x afresh.

        `is_fresh`: nobody but this worker has moved what the gradient was taken at; its delay is 0. `decay`: a factor
        on the weight decay.
        """
        self.settle()
        g = clipped(g, self.clip) if part else g
        op = self._push(momentum, penalty, compensation, onto=onto, center=center if alpha else None)
        control, is_shared = self.control, self.is_shared(onto) or bool(alpha)
        locked = is_shared and self.access is Access.LOCKED
        lr_max = control.raise_lr_max(self.lr) if penalty is not None else self.lr
        version = self.last_version = control.begin_push(self.rank, locked)
        if is_fresh:
            control.set_pulled(self.rank, version)
        delay = self.last_delay = version - control.pulled_version(self.rank)
        self.last_stats = None
        try:
            rate = self.lr if lr is None else lr(delay)
            if rate is not None:
                op.enqueue(
                    g,
                    lr=rate,
                    weight_decay=decay * self.weight_decay,
                    pushes=version,
                    lr_max=lr_max,
                    first_step=self._is_first_step(version),
                    scale=1.0 if scale is None else scale(delay),
                    clip=0.0 if part else self.clip,
                    delay=delay,
                    alpha=alpha,
                    start=part[0] if part else None,
                    stop=part[1] if part else None,
                )
        except BaseException:
            control.end_push(self.rank, locked, False, 0, 0.0, 0.0)
            raise
        self.last_lr = rate or 0.0
        flight = Flight(None if rate is None else op, locked, onto == "x", is_shared, momentum)
        if self.defers and not self._was_refused and rate is not None:
            self._flight = flight
        else:
            self._land(flight, refresh=True)

    @property
    def in_flight(self) -> bool:
        """Whether a push has been enqueued and not yet been counted."""
        return self._flight is not None

    def settle(self) -> None:
        """Waits for a push that is still on its way and counts it: only now does the version rise.

        One that turns out to have been refused leaves the snapshot stale, and its version with it, for the next
        gradient is being computed there; the next push is then waited for.
        """
        if self._flight is not None:
            flight, self._flight = self._flight, None
            self._land(flight, refresh=False)

    def _land(self, flight: Flight, refresh: bool) -> None:
        """Waits for a push and counts it; one that was refused reads afresh if the snapshot may be written."""
        applied, nonfinite, gap_sq, step_sq = False, 0, 0.0, 0.0
        try:
            if flight.op is not None:
                stats = self.last_stats = flight.op.stats()
                applied, nonfinite, gap_sq, step_sq = stats.applied, stats.nonfinite, stats.gap_sq, stats.step_sq
        finally:
            self.control.end_push(self.rank, flight.locked, applied, nonfinite, gap_sq, step_sq)
        self.last_refused = 0 if applied else nonfinite
        self._was_refused = self.defers and self.last_refused > 0
        if flight.is_shared:
            self.traffic.add(self.x, 2 if applied else 1)
        if not applied and refresh:
            if flight.is_master:
                self.pull(flight.momentum)
            elif self.has_snapshot:
                self.read()

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
        self.push(
            g,
            lr=lambda _: rate * self.lr,
            momentum=momentum,
            onto="replica",
            alpha=alpha,
            center=center,
            is_fresh=True,
            decay=1 / rate,
        )

    def admm(self, g: Gradients, rho: float) -> None:
        """Counts as a push of the worker, with delay 0; what is not finite is refused as there."""
        finite = self.deposit("g", g)  # settles
        locked = self.access is Access.LOCKED
        self.last_version = self.control.begin_push(self.rank, locked)
        self.control.set_pulled(self.rank, self.last_version)
        try:
            if finite:
                if self.weight_decay:
                    self.combine("g", {"g": 1, "replica": self.weight_decay})
                places = (self.buffer(name) for name in ("replica", "multiplier", "x", "g"))
                self._exchange.admm(*places, lr=self.lr, rho=rho, workers=self.workers)
                if locked:
                    finish(self.x.device)
        finally:
            self.last_delay = self.control.end_push(self.rank, locked, finite, self.last_refused, 0.0, 0.0)
        self.last_lr = self.lr if finite else 0.0
        self.traffic.add(self.x, 2)

    def deposit(self, name: str, g: Gradients) -> bool:
        """Own replica of `name` [n] <- g. A gradient that is not finite is withheld from the round, and counted."""
        self.settle()
        self.last_version = self.control.version
        self.last_refused = count_nonfinite(g)
        self.control.contribute(self.rank, not self.last_refused)
        if self.last_refused:
            return False
        for view, gradient in zip(self.world.layout.views(self.buffer(name)), clipped(g, self.clip), strict=True):
            if gradient is None:
                view.zero_()
            else:
                view.copy_(gradient)
        return True

    def push_mean(self, name: str, *, momentum: Momentum | None = None) -> None:
        """x[share] <- x - lr * rule(mean_j name_j)[share], the mean over this round's finite contributions.

        Mutates this worker's share of x, of v, and of its own replica of `name` (which then holds the mean): no other
        worker reads those elements before the next barrier.
        """
        present = self.present
        contributed = [rank for rank in present if self.control.contributes(rank)]
        start, stop = self.share()
        step_sq = 0.0
        version = self.last_version  # of the deposit: by now the first worker may have counted this round already
        if contributed and start < stop:
            mean = self.buffer(name)
            inputs = [self.buffer((name, rank)) for rank in contributed]
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
            self.traffic.add(mean, (len(contributed) - 1) * (stop - start) / mean.numel())
        commits = bool(contributed) and present[0] == self.rank
        self.control.end_round(self.rank, commits, self.last_refused, step_sq)

    def _is_first_step(self, version: int) -> bool:
        own = "v" not in self.declared or not self.is_shared("v")
        return (self.control.pushes(self.rank) if own else version) == 0


def clipped(g: Gradients, clip: float) -> Gradients:
    """g min(1, clip / ||g||), for what does not go through a push of the whole gradient. Writes nothing to g."""
    if not clip:
        return g
    norms = [float(torch.linalg.vector_norm(gradient, dtype=torch.float64)) for gradient in g if gradient is not None]
    if not clip < (norm := math.hypot(*norms)) < math.inf:
        return g
    return [None if gradient is None else gradient * (clip / norm) for gradient in g]
