"""The exchanges of a worker's own replica with a center."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from hogwild.algorithms.base import Gradients, Place
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.outcome import CurrentUpdate, Outcome
from hogwild.drivers.view.rounds import Rounds
from hogwild.drivers.view.updates import Updates
from hogwild.kernels import copy, weighted_sum
from hogwild.kernels.exchange import Exchange
from hogwild.rules import Access
from hogwild.shared.devices import finish


class Exchanges:
    """`adopt`, `elastic`, `deliver`, `admm` and `exclusive` of hogwild.algorithms.base.View.

    Exchanges with a center follow the access policy of the run; own buffers are written by their worker only.
    """

    def __init__(self, buffers: Buffers, updates: Updates, rounds: Rounds, current: CurrentUpdate) -> None:
        self._buffers = buffers
        self._versions = buffers.versions
        self._rank = buffers.rank
        self._updates = updates
        self._rounds = rounds
        self._current = current

    @functools.cached_property
    def kernel(self) -> Exchange:
        """The exchanges under the access policy of the run."""
        access, world = self._buffers.access, self._buffers.world
        locks = (world.locks(), world.stripes) if access is Access.STRIPED else (0, 0)
        return Exchange(access, *locks)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        self._versions.lock_model(self._rank)
        try:
            yield
            finish(self._buffers["x"].device)  # completed before another worker may begin
        finally:
            self._versions.unlock_model()

    def adopt(self) -> None:
        """replica <- x. Races with exchanges, element by element."""
        replica = self._buffers["replica"]
        with self._center():
            copy(replica, self._buffers["x"])
        self._buffers.traffic.add(replica, 1)

    def elastic(self, alpha: float, near: Place = "replica", center: Place = "x") -> None:
        """If `near` is shared, both sides are changed by additions, so that concurrent additions of other workers are
        kept.
        """
        if not isinstance(near, str):
            self._spring(alpha, near, center)
            return
        with self._center():
            self._buffers.took_over(self.kernel.elastic(self._buffers[near], self._buffers[center], alpha))
        self._buffers.traffic.add(self._buffers[center], 2)

    def deliver(self) -> None:
        replica, base, x = (self._buffers[name] for name in ("replica", "base", "x"))
        with self._center():
            self._buffers.took_over(self.kernel.deliver(replica, base, x))
        self._buffers.traffic.add(replica, 2)

    def admm(self, g: Gradients, rho: float) -> None:
        """Counts as a push of the worker, with delay 0. A non-finite gradient is refused, as in a push."""
        finite = self._rounds.deposit("g", g)
        refused = self._current.outcome.refused
        versions, lr = self._versions, self._current.lr
        locked = self._buffers.access is Access.LOCKED
        version = versions.begin_push(self._rank, locked)
        versions.set_pulled(self._rank, version)
        try:
            if finite:
                if weight_decay := self._updates.weight_decay:
                    self._rounds.combine("g", {"g": 1, "replica": weight_decay})
                replica, multiplier, x, gradient = (self._buffers[name] for name in ("replica", "multiplier", "x", "g"))
                workers = self._buffers.workers
                self._buffers.took_over(
                    self.kernel.admm(replica, multiplier, x, gradient, lr=lr, rho=rho, workers=workers)
                )
                if locked:
                    finish(x.device)
        finally:
            versions.end_push(self._rank, locked, finite, refused, 0.0, 0.0)
        self._current.outcome = Outcome(version, lr=lr if finite else 0.0, refused=refused, applied=finite)
        self._buffers.traffic.add(self._buffers["x"], 2)

    def _spring(self, alpha: float, near: Place, center: Place) -> None:
        buffers, flux, counter = self._buffers, self._buffers["flux"], self._buffers["counter"]
        with self._center():
            weighted_sum(flux, [buffers[near], buffers[center]], [alpha, -alpha])
            weighted_sum(counter, [flux], [-1.0])
            buffers.took_over(self.kernel.send(buffers[center], flux, 1.0))
            buffers.took_over(self.kernel.send(buffers[near], counter, 1.0))
        buffers.traffic.add(flux, 2)

    def _center(self) -> AbstractContextManager[None]:
        """Holds the one lock of the `locked` policy during an exchange."""
        return self.exclusive() if self._buffers.access is Access.LOCKED else nullcontext()
