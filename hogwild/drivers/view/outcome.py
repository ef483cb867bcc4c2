"""The result of one gradient, for the drivers; and a pending push, which has no result yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from hogwild.kernels import Push, PushStats
from hogwild.rules import Momentum


class Outcome(NamedTuple):
    """The result of the last gradient that a worker gave to push, gather, deposit or admm.

    version    updates in the master when the gradient was processed
    delay      versions between the snapshot and `version`, also of a gradient that was dropped or refused
    place      number of a gathered gradient among those of its version, from 0
    lr         learning rate of the step; 0 if the gradient was dropped, or only gathered or deposited
    refused    non-finite elements of a gradient that was therefore not applied; 0 if it was applied
    cancelled  it was gathered too late: the worker keeps its ticket and computes the batch again
    applied    it is in the model, in the sum, or in the round
    stats      measured by the push; None if there was none (dropped, deposited, admm)
    """

    version: int = 0
    delay: int = 0
    place: int = 0
    lr: float = 0.0
    refused: int = 0
    cancelled: bool = False
    applied: bool = False
    stats: PushStats | None = None


class PendingPush(NamedTuple):
    """A push that is enqueued and not yet counted. `kernel`: None if the gradient was dropped, or refused beforehand
    for `refused` elements of its rows that are not finite.
    """

    kernel: Push | None
    version: int
    delay: int
    lr: float
    locked: bool
    onto: str
    is_shared: bool  # it writes a buffer that other workers use
    momentum: Momentum | None
    refused: int = 0


@dataclass
class CurrentUpdate:
    """The state of the worker's current update, shared by all parts of its view.

    `lr`: its learning rate, set by the driver before each update; it `has_begun` then. `outcome`: of the last gradient,
    replaced by each. `schedule`: number of an update of the run -> its learning rate.
    """

    lr: float = 0.0
    has_begun: bool = False
    schedule: Callable[[int], float] | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def lr_after(self, version: int) -> float:
        """That of the worker's last update; if it begins after `version` updates of others, that of their last."""
        return self.lr if self.has_begun or self.schedule is None else self.schedule(max(version - 1, 0))
