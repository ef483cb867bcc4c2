"""The push objects of a worker's view: one per rule, over the buffers that the rule works on."""

from __future__ import annotations

from typing import Any

from hogwild.algorithms.base import Place
from hogwild.drivers.view.buffers import Buffers
from hogwild.errors import UsageError
from hogwild.kernels import Push
from hogwild.rules import Access, Compensation, Dana, Gap, Guard, Momentum, Smega2


class Pushes(Buffers):
    """A mixin of hogwild.drivers.view.worker_view.WorkerView."""

    guard: Guard
    inplace: bool
    _pushes: dict[tuple[Any, ...], Push]

    def _push(
        self,
        momentum: Momentum | None,
        penalty: Gap | None,
        compensation: Compensation | None = None,
        *,
        onto: str = "x",
        center: Place | None = None,
        fresh_snapshot: bool = True,
    ) -> Push:
        key = (momentum, penalty, compensation, onto, center, fresh_snapshot)
        if key not in self._pushes:
            if self.inplace and (penalty is not None or compensation is not None):
                raise UsageError("a gap needs a private snapshot: use --read snapshot")
            used = needed_buffers(momentum, penalty, compensation)
            if fresh_snapshot and not self.inplace and center is None and self.has_snapshot:
                used.add("snapshot")
            access, locks = self._access(onto, center)
            buffers: dict[str, Any] = {name: self.buffer(name) for name in used}
            self._pushes[key] = Push(
                x=self.buffer(onto),
                center=None if center is None else self.buffer(center),
                **buffers,
                segments=self.world.layout.segments,
                penalty=penalty,
                momentum=momentum,
                compensation=compensation,
                access=access,
                guard=self.guard,
                stripes=locks,
                n_stripes=self.world.stripes if locks else 0,
            )
        return self._pushes[key]

    def _access(self, onto: str, center: Place | None) -> tuple[Access, int]:
        """The policy of a push, and the address of its locks: a replica that peers average is written chunk by chunk
        under its own, one that nobody else writes under none.
        """
        if self.is_shared(onto) or center is not None:
            return self.access, self.world.locks() if self.access is Access.STRIPED else 0
        if not self.declared[onto].locks:
            return Access.RACING, 0
        return (Access.ATOMIC, 0) if self.buffer("x").is_cuda else (Access.STRIPED, self.world.locks(self.rank))


def needed_buffers(momentum: Momentum | None, penalty: Gap | None, compensation: Compensation | None) -> set[str]:
    """The buffers that a push with these rules works on, besides x and the snapshot."""
    names: set[str] = set()
    if momentum is not None:
        names |= {"v"} | ({"v_sum"} if isinstance(momentum, Dana) else {"b"} if isinstance(momentum, Smega2) else set())
    if penalty is not None:
        names.add("gap_state" if penalty.rows else "s")
    if compensation is not None and compensation.adaptive:
        names.add("ms")
    return names
