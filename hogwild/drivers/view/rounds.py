"""The operations of a synchronous worker between barriers: deposit a gradient, step along the mean, combine buffers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hogwild.algorithms.base import Gradients, Place
from hogwild.buffers import GRADIENT
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.clipping import clipped
from hogwild.drivers.view.outcome import CurrentUpdate, Outcome
from hogwild.drivers.view.pushes import PushCache
from hogwild.drivers.view.updates import Updates
from hogwild.kernels import copy, weighted_sum
from hogwild.kernels.control import Phase
from hogwild.kernels.deposit import Deposit
from hogwild.rules import Momentum, look_ahead

AT_WORK = (Phase.DATA, Phase.GRADIENT, Phase.SLEEP, Phase.UPDATE, Phase.LOCK, Phase.BARRIER)
ALIGNED = 32  # elements: shares of a flat buffer begin on 128-byte boundaries


class Rounds:
    """`deposit`, `push_mean` and `combine` of hogwild.algorithms.base.View.

    At each barrier the driver sets `generation`, the number of the barrier that the worker has passed. `members`: those
    of the round, where the control block does not tell (hogwild.boxes); then each of them computes all elements.
    """

    def __init__(
        self, buffers: Buffers, pushes: PushCache, updates: Updates, current: CurrentUpdate, barriers_per_round: int
    ) -> None:
        self.generation = 0
        self.members: list[int] | None = None
        self._buffers = buffers
        self._barriers, self._versions = buffers.rounds, buffers.versions
        self._rank = buffers.rank
        self._pushes = pushes
        self._updates = updates
        self._current = current
        self._barriers_per_round = barriers_per_round
        self._deposited = Outcome()
        self._deposits: dict[str, Deposit] = {}

    @property
    def round(self) -> int:
        return max(self.generation - 1, 0) // max(self._barriers_per_round, 1)

    @property
    def present(self) -> list[int]:
        if self.members is not None:
            return self.members
        if not self._barriers_per_round:
            return [rank for rank in range(self._buffers.workers) if not self._is_gone(rank)]
        return list(self._barriers.participants(self.generation))

    def _is_gone(self, rank: int) -> bool:
        """Whether the worker died at work, or before its first update. One that left for want of work is not gone."""
        if self._barriers.alive(rank):
            return False
        return not self._versions.steps(rank) or self._buffers.ledger.stats(rank)["phase"] in AT_WORK

    def share(self) -> tuple[int, int]:
        """The elements [start, stop) of a shared buffer that are this worker's part of the round."""
        if self.members is not None:
            return 0, self._buffers.world.layout.n
        return self.fragments(len(self.present))[self.present.index(self._rank)]

    def fragments(self, count: int) -> list[tuple[int, int]]:
        n = self._buffers.world.layout.n
        lines = -(-n // ALIGNED)
        bounds = [min(lines * i // count * ALIGNED, n) for i in range(count + 1)]
        return list(pairwise(bounds))

    def deposit(self, name: str, g: Gradients) -> bool:
        """Own replica of `name` [n] <- g. A non-finite gradient is counted and left out of the round; the buffer then
        stays as it is, except for a plain GRADIENT, which is written before it is read.
        """
        self._updates.finish()
        if name not in self._deposits:
            self._deposits[name] = Deposit(self._buffers[name], self._buffers.world.layout.segments)
        keeps = self._buffers.declared[name] is not GRADIENT
        refused = self._deposits[name](clipped(g, self._updates.clip), keeps=keeps)
        self._barriers.contribute(self._rank, not refused)
        self._deposited = Outcome(version=self._versions.version, refused=refused, applied=not refused)
        self._current.outcome = self._deposited
        return not refused

    def push_mean(self, name: str, *, momentum: Momentum | None = None) -> None:
        """x[share] <- x - lr * rule(mean_j name_j)[share], the mean over this round's finite contributions.

        Mutates this worker's share of x, of v and of its snapshot: no other worker reads those elements before the next
        barrier.
        """
        buffers, barriers, present, lr = self._buffers, self._barriers, self.present, self._current.lr
        contributed = [rank for rank in present if barriers.contributes(rank)]
        start, stop = self.share()
        step_sq = 0.0
        version = self._deposited.version  # the first worker of the round may already have raised the version
        if contributed and start < stop:
            renews = not look_ahead(momentum, lr=lr, pushes=version)
            stats = self._pushes.get(momentum, fresh_snapshot=renews).mean(
                [buffers[name, rank] for rank in contributed],
                lr=lr,
                weight_decay=self._updates.weight_decay,
                pushes=version,
                lr_max=lr,
                **self._updates.counts(momentum, version),
                start=start,
                stop=stop,
            )
            step_sq = stats.step_sq
            if renews and stats.applied:
                self._updates.renewed = start, stop
            buffers.took_over(stats.recovered)
            own = buffers[name]
            buffers.traffic.add(own, (len(contributed) - 1) * (stop - start) / own.numel())
        commits = bool(contributed) and present[0] == self._rank
        barriers.end_round(self._rank, commits, self._deposited.refused, step_sq)

    def combine(
        self,
        to: Place,
        terms: Mapping[Place, float],
        *,
        share: bool = False,
        part: tuple[int, int] | None = None,
    ) -> None:
        buffers = self._buffers
        out, inputs = buffers[to], [buffers[place] for place in terms]
        start, stop = self.share() if share else part or (0, out.numel())
        if not share and part is None and list(terms.values()) == [1]:
            copy(out, inputs[0])
        elif start < stop:
            weighted_sum(out, inputs, list(terms.values()), start=start, stop=stop)
        if remote := sum(buffers.is_remote(place) for place in (to, *terms)):
            buffers.traffic.add(out, remote * (stop - start) / out.numel())
