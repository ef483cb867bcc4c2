"""The push kernels of a worker's view: one object for each rule, with the buffers of that rule."""

from __future__ import annotations

from typing import Any

from hogwild import system
from hogwild.algorithms.base import Place
from hogwild.drivers.view.buffers import Buffers
from hogwild.errors import UsageError
from hogwild.kernels import Push
from hogwild.rules import Access, Compensation, Gap, Guard, Momentum, buffers_of


class PushCache:
    """Makes the push of a rule at its first use, and caches it.

    `inplace`: gradients are taken at the master itself, so there is no snapshot to update and no gap to measure.
    """

    def __init__(self, buffers: Buffers, guard: Guard, inplace: bool) -> None:
        self.guard = guard
        self.inplace = inplace
        self._buffers = buffers
        self._pushes: dict[tuple[Any, ...], Push] = {}
        self._plain: dict[str, Push] = {}
        self._latest: tuple[Any, ...] = (self,) * 7  # a key and its push: comparing six objects is quicker than hashing

    def get(
        self,
        momentum: Momentum | None,
        penalty: Gap | None = None,
        compensation: Compensation | None = None,
        *,
        onto: str = "x",
        center: Place | None = None,
        fresh_snapshot: bool = True,
    ) -> Push:
        """The push of that rule onto the master or the own replica. UsageError for a gap without a snapshot, and for a
        rule that takes no groups with an lr of their own.

        `center`: the buffer to exchange with in the same pass. `fresh_snapshot`: the push also writes the next
        snapshot.
        """
        of_momentum, of_penalty, of_compensation, of_onto, of_center, of_fresh, push = self._latest
        if (
            momentum is of_momentum and penalty is of_penalty and compensation is of_compensation
            and onto is of_onto and center is of_center and fresh_snapshot is of_fresh
        ):  # fmt: skip
            return push  # type: ignore[no-any-return]
        key = (momentum, penalty, compensation, onto, center, fresh_snapshot)
        if key not in self._pushes:
            self._pushes[key] = self._make(*key)
        self._latest = *key, self._pushes[key]
        return self._pushes[key]

    def onto(self, name: str) -> Push:
        """buffer <- buffer - lr g, for gradients that are gathered: no policy of access, no groups, no snapshot."""
        if name not in self._plain:
            segments = self._buffers.world.layout.segments
            self._plain[name] = Push(x=self._buffers[name], segments=segments, guard=self.guard)
        return self._plain[name]

    def _make(
        self,
        momentum: Momentum | None,
        penalty: Gap | None,
        compensation: Compensation | None,
        onto: str,
        center: Place | None,
        fresh_snapshot: bool,
    ) -> Push:
        if self.inplace and (penalty is not None or compensation is not None):
            raise UsageError("a gap needs a private snapshot: use --read snapshot")
        buffers, world = self._buffers, self._buffers.world
        used = set(buffers_of(momentum, penalty, compensation))
        if fresh_snapshot and not self.inplace and center is None and buffers.has_snapshot:
            used.add("snapshot")
        access, locks = self._access(onto, center)
        named: dict[str, Any] = {name: buffers[name] for name in used}
        try:
            return Push(
                x=buffers[onto],
                center=None if center is None else buffers[center],
                **named,
                segments=world.layout.segments,
                penalty=penalty,
                momentum=momentum,
                compensation=compensation,
                access=access,
                guard=self.guard,
                groups=world.groups.factors,
                own_v="v" in used and buffers.is_own("v"),
                stripes=locks,
                n_stripes=world.stripes if locks else 0,
                cooperative=not system.mps_running(),
            )
        except ValueError as error:
            if all(lr == 1 for lr, _ in world.groups.factors):
                raise
            raise UsageError(f"groups give parameters an lr of their own, and the rule cannot: {error}") from None

    def _access(self, onto: str, center: Place | None) -> tuple[Access, int]:
        """The access policy of a push, and the address of its locks.

        A buffer with locks, which peers average with theirs, is written chunk by chunk under the worker's own locks.
        Any other buffer of the worker has one writer and needs no lock.
        """
        buffers = self._buffers
        if buffers.is_shared(onto) or center is not None:
            return buffers.access, buffers.world.locks() if buffers.access is Access.STRIPED else 0
        if buffers.is_own(onto):
            return Access.RACING, 0
        if buffers["x"].is_cuda:
            return Access.ATOMIC, 0
        return Access.STRIPED, buffers.world.locks(buffers.rank)
