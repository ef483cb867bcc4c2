"""The learning rate as a pure function of the global ticket number, independent of workers and clocks."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hogwild.config import Config

SCHEDULES = {
    "constant": "lr",
    "cosine": "lr falls to 0 along half a cosine",
    "step": "lr is multiplied by step_factor at each of the milestones",
}


@dataclass(frozen=True)
class Schedule:
    """lr_k for ticket k = 0, 1, ..., T-1: warm-up over the first K tickets, then one of three shapes.

        k < K     lr_k = lr/W + (lr - lr/W) k/K             gradual warm-up, Goyal et al. 2017, arXiv:1706.02677
        constant  lr_k = lr
        cosine    lr_k = lr (1 + cos(pi (k-K)/(T-K))) / 2   Loshchilov & Hutter 2017, arXiv:1608.03983, no restart
        step      lr_k = lr factor^j,  j = number of milestones m with m T <= k

    W is the number of workers (for W = 1 there is no warm-up). From ticket T on, lr keeps its last value.

    Deviates: warm-up and milestones are fractions of the run, not epochs, so that they apply to any limit.
    """

    kind: str
    base_lr: float
    total_tickets: int
    warmup_tickets: int = 0
    workers: int = 1
    milestones: tuple[float, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise ValueError(f"schedule {self.kind!r} is none of {', '.join(SCHEDULES)}")
        if not 0 <= self.warmup_tickets < max(self.total_tickets, 1):
            raise ValueError(f"a warm-up of {self.warmup_tickets} tickets does not fit into {self.total_tickets}")

    @classmethod
    def of(cls, config: Config, total_tickets: int) -> Schedule:
        return cls(
            kind=config.schedule,
            base_lr=config.lr,
            total_tickets=total_tickets,
            warmup_tickets=int(config.warmup * total_tickets),
            workers=config.workers,
            milestones=config.milestones,
            factor=1.0 if config.step_factor is None else config.step_factor,
        )

    def lr(self, ticket: int) -> float:
        """lr_k of ticket k >= 0."""
        if ticket < self.warmup_tickets:
            start = self.base_lr / self.workers
            return start + (self.base_lr - start) * ticket / self.warmup_tickets
        if self.kind == "cosine":
            done = (ticket - self.warmup_tickets) / max(self.total_tickets - self.warmup_tickets, 1)
            return self.base_lr * (1 + math.cos(math.pi * min(done, 1.0))) / 2
        if self.kind == "step":
            passed = bisect_right([part * self.total_tickets for part in self.milestones], ticket)
            return self.base_lr * self.factor**passed
        return self.base_lr
