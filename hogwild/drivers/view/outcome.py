"""The result of one gradient as the drivers read it, and the push that still owes one."""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.kernels import Push, PushStats
from hogwild.rules import Momentum


@dataclass(frozen=True)
class Outcome:
    """The result of the last gradient that a worker gave to push, gather, deposit or admm.

    version    updates in the master when the gradient was taken up
    delay      versions between the snapshot and `version`, also of a gradient that was dropped or refused
    place      number of a gathered gradient among those of its version, from 0
    lr         learning rate of the step; 0 if the gradient was dropped, or only gathered or deposited
    refused    non-finite elements of a gradient that was therefore not applied; 0 if it was applied
    cancelled  it was gathered too late: its ticket stays in hand and its batch is begun again
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


@dataclass(slots=True)
class PendingPush:
    """A push that has been enqueued and not yet been counted. `kernel`: None if the gradient was dropped."""

    kernel: Push | None
    version: int
    delay: int
    lr: float
    locked: bool
    onto: str
    is_shared: bool  # it moves a buffer that other workers use
    momentum: Momentum | None


@dataclass
class CurrentUpdate:
    """What all parts of a view share about the update that the worker is at.

    `lr`: its learning rate, set by the driver before each update. `outcome`: of the last gradient, replaced by each.
    """

    lr: float = 0.0
    outcome: Outcome = Outcome()
