"""Parts of a gradient that are pushed before the rest of it is there (--layer-pushes): first those of the last layers.

    parameter p, once its gradient is there:   x_p <- x_p - lr rule(g_p), the rule of the worker's push before
    the last ones, by the algorithm's push:    likewise; counts the update, and reads the next snapshot

What is pushed early has a smaller delay: others have had less time to push since the snapshot. Parameters wait until
LEAST elements are together, for a push of a few elements costs as much as one of thousands.

Source: Nabli et al., LayUp and PD-ASGD (arXiv:2410.05985), the abstract.
Deviates: an update is counted once, with its last part. A worker's first gradient is pushed whole, because the rule is
known only then. A learning rate that an algorithm computes before each push is that of the push before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.outcome import CurrentUpdate
from hogwild.drivers.view.pushes import PushCache
from hogwild.drivers.view.updates import Updates
from hogwild.errors import UsageError

LEAST = 4096  # elements


class LayerPushes:
    """Early pushes of one worker, onto the master, under the access policy of the run."""

    def __init__(self, buffers: Buffers, pushes: PushCache, updates: Updates, current: CurrentUpdate) -> None:
        self._buffers = buffers
        self._versions, self._rank = buffers.versions, buffers.rank
        self._pushes, self._updates, self._current = pushes, updates, current
        self._elements = [numel for _, numel in buffers.world.layout.segments]
        self._rule: tuple[object, object] | None = None  # of the last early push
        self._step, self._early = -1, 0  # of the current update: its number, elements pushed
        self.delay_sum = self.delay_count = 0  # over elements, of whole updates

    @property
    def knows_rule(self) -> bool:
        return self._updates.last is not None

    def push(self, parts: Mapping[int, Tensor]) -> bool:
        """Pushes the gradients of these parameters, by their places in the layout. False, and nothing done, if the
        worker has not pushed yet, or if the gradient would be dropped. UsageError if the rule changes.
        """
        if self._updates.last is None:
            return False
        lr, scale, momentum, compensation = self._updates.last
        if self._rule not in (None, (momentum, compensation)):
            raise UsageError("layer_pushes needs an algorithm with one rule for all pushes: leave it out")
        self._rule = momentum, compensation
        self._count_update()
        version = self._versions.version
        delay = version - self._versions.pulled_version(self._rank)
        rate = self._current.lr if lr is None else lr(delay)
        if rate is None:
            return False
        self._pushes.get(momentum, None, compensation, fresh_snapshot=False)(
            [parts.get(place) for place in range(len(self._elements))],
            lr=rate,
            weight_decay=self._updates.weight_decay,
            pushes=version,
            lr_max=self._current.lr,
            **self._updates.counts(momentum, version),
            scale=1.0 if scale is None else scale(delay),
            delay=delay,
        )
        count = sum(self._elements[place] for place in parts)
        self._early += count
        self.delay_sum += count * delay
        self.delay_count += count
        x = self._buffers["x"]
        self._buffers.traffic.add(x, count / x.numel())
        return True

    def _count_update(self) -> None:
        """Counts the delay of the last part of the update before, once."""
        step = self._versions.steps(self._rank)
        if step == self._step:
            return
        if self._early:
            rest = sum(self._elements) - self._early
            self.delay_sum += rest * self._current.outcome.delay
            self.delay_count += rest
        self._step, self._early = step, 0


def early(elements: Sequence[int]) -> list[list[int]]:
    """The places of the parameters in the order in which a backward pass of layers in a row has their gradients, in
    groups of at least LEAST elements, without the last group.
    """
    groups: list[list[int]] = [[]]
    for place in reversed(range(len(elements))):
        groups[-1].append(place)
        if sum(elements[one] for one in groups[-1]) >= LEAST:
            groups.append([])
    return groups[:-2] if not groups[-1] else groups[:-1]
